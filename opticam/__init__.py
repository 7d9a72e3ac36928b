"""Explain a classifier with a saliency map and judge the explanation (Opti-CAM, CVIU 2024)."""
