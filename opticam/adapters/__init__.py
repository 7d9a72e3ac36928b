"""Our methods under the calls of other libraries: `grad_cam` (pytorch-grad-cam) and `captum` (Captum, Quantus)."""
