"""Where Opti-CAM's published protocol is in error or unclear, and what that does to its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from reproduce.experiments.base import Deviation, Effect
from reproduce.experiments.opticam.boxes import BOX_ROWS, BoxTable
from reproduce.experiments.opticam.iterations import IterationFigure, setting_label
from reproduce.experiments.opticam.localization import WHOLE, LocalizationTables, mean_scores
from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment, common_images
from reproduce.published.numbers import labelled
from reproduce.saliency.course_groups import STOP, STOPPED
from reproduce.saliency.deviation_groups import GAIN_OVER_P, OF_PREDICTION, OTHER_CORNERS, OTHER_FEATURES
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.requests import Request
from reproduce.tables.layout import summarise
from reproduce.tables.metric_names import METRICS
from reproduce.workspace.workspace import Workspace

METHODS = (WHOLE, "Grad-CAM", "Opti-CAM")
LOCAL_SCORES = ("LE", "F1", "SP", "EP")
TRANSFORMERS = ("vit_b_16", "deit_b_16")
"""Published names of the networks whose feature maps keep negative values."""
AUTHORS = {"kept": "paper", "cut": "code"}
"""Who does what with those values."""


class OptiCamDeviations(SaliencyExperiment):
    """What the published text or code does otherwise, beside what this project does, on the same images."""

    name = "deviations-opticam"
    title = "Deviations of the published protocol, in numbers"

    def requests(self, workspace: Workspace) -> list[Request]:
        """Both ways on the same images."""
        causal = ("causal", "grey deletion", "causal of prediction")
        found = []
        for network, beside in self.networks(workspace).items():
            asked = {method: ["faithfulness", "gain over p", *causal] for method in METHODS}
            asked["Opti-CAM"] += ["early stop", *(["other features"] if beside in TRANSFORMERS else [])]
            asked["Score-CAM"] = ["faithfulness", "other corners"]
            found += [self.request(workspace, network, method, *groups) for method, groups in asked.items()]
        return found

    def deviations(self, workspace: Workspace) -> list[Deviation]:
        """Those whose effect the results of this and of other Opti-CAM experiments tell."""
        return [
            self._gain_denominator(workspace),
            self._localization(workspace),
            self._box_mask(workspace),
            self._early_stop(workspace),
            self._iterations(workspace),
            self._deletion(workspace),
            self._causal_class(workspace),
            self._score_cam(workspace),
            self._rectified(workspace),
            self._checkpoint(workspace),
            _resizing(),
        ]

    def _gain_denominator(self, workspace: Workspace) -> Deviation:
        rows = self.rows(workspace, ("AG", GAIN_OVER_P), METHODS.__contains__)
        return Deviation(
            "Denominator of the average gain",
            "eq. 12 of the slides divides the gain by p, so one image with a small p outweighs all others",
            "1 - p, as in eq. 15 of the paper and in the authors' evaluation code",
            _of_metrics(rows, [(GAIN_OVER_P, "AG", "AG", "%")]),
            _command(self.name),
        )

    def _localization(self, workspace: Workspace) -> Deviation:
        experiment = LocalizationTables()
        legacy, paper = (
            mean_scores(experiment.protocol_rows(workspace, name)) for name in ("legacy", "paper")
        )
        return Deviation(
            "Boxes and scores of the localisation tables",
            "the authors' code: boxes not cut at the image's edge, LE counts IoU at most 0.5, F1 takes the best "
            "single box, EP and SP swap x and y",
            "the formulas of Appendix B.1, in a table of their own beside the authors' code",
            _of_frames(legacy, paper, ("Opti-CAM", WHOLE), LOCAL_SCORES),
            _command(experiment.name),
        )

    def _box_mask(self, workspace: Workspace) -> Deviation:
        experiment = BoxTable()
        legacy, paper = (experiment.region_rows(workspace, name) for name in ("legacy", "paper"))
        shown = [labelled(name, "S") for name in BOX_ROWS.values()]
        shown += [labelled("Opti-CAM", part) for part in ("B∩S", "S\\B")]
        return Deviation(
            "Box mask of the bounding-box study",
            "x and y of every box are swapped, and a box that begins outside the image becomes empty or lies on "
            "the wrong side",
            "the mask covers the boxes, in a table of its own beside the authors'; the sample's boxes lie inside "
            "their pictures, so only the swap shows there",
            _of_frames(summarise(legacy), summarise(paper), shown, ("AD",)),
            _command(experiment.name),
        )

    def _early_stop(self, workspace: Workspace) -> Deviation:
        rows = self.rows(workspace, (*SCORES, STOP, *STOPPED.values()), "Opti-CAM".__eq__)
        full = float(workspace.saliency.iterations)
        stops = rows[rows["metric"] == STOP].groupby("network")["value"].agg(["mean", "size"])
        iterations = [
            Effect(f"iterations on {network}, mean of {stop['size']:.0f} images", stop["mean"], full)
            for network, stop in stops.iterrows()
        ]
        scores = [(name, score, score, "%") for score, name in STOPPED.items()]
        return Deviation(
            "Early stop",
            "the authors' code looks at the loss ten times and stops the whole batch where its sum has risen; "
            "the paper stops at a change below 1e-10",
            "all iterations; `stop_change` stops image by image",
            (*iterations, *_of_metrics(rows, scores)),
            _command(self.name),
        )

    def _iterations(self, workspace: Workspace) -> Deviation:
        experiment = IterationFigure()
        rows = experiment.measured(workspace)
        few, many = (setting_label(count, 0.1) for count in (50, 100))
        effects = []
        for network, own in rows.groupby("network", sort=False):
            for score in SCORES:
                found = common_images(own, score, (few, many))
                if len(found):
                    words = f"{score} of Opti-CAM on {network}, {len(found)} images"
                    effects.append(Effect(words, found[few].mean(), found[many].mean(), "%"))
        return Deviation(
            "50 or 100 iterations",
            "the ablations (Tables 5, 6, A.12, A.13) used 50 iterations, which only one caption says",
            "100 iterations in the main tables, 50 in the ablations",
            tuple(effects),
            _command(experiment.name),
        )

    def _deletion(self, workspace: Workspace) -> Deviation:
        rows = self.rows(workspace, ("deletion", "grey deletion"), METHODS.__contains__)
        return Deviation(
            "What deletion deletes to",
            "the paper sets pixels to zero, which is black in raw pixels and the mean colour in normalised ones, and "
            "the slides say black (in the first column: the mean colour)",
            "black in the table, the mean colour beside it where the networks are the published ones",
            _of_metrics(rows, [("grey deletion", "deletion", "D", "%")]),
            _command(self.name),
        )

    def _causal_class(self, workspace: Workspace) -> Deviation:
        rows = self.rows(workspace, ("insertion", "deletion", *OF_PREDICTION.values()), METHODS.__contains__)
        pairs = [(name, score, score, "%") for score, name in OF_PREDICTION.items()]
        return Deviation(
            "Class of insertion and deletion",
            "the probability of the predicted class is followed; whether the map is that class's own is not said "
            "(in the first column it is)",
            "the predicted class is followed on the map of the true class, the one that all tables explain; the two "
            "differ where the network errs",
            _of_metrics(rows, pairs),
            _command(self.name),
        )

    def _score_cam(self, workspace: Workspace) -> Deviation:
        rows = self.rows(workspace, (*SCORES, *OTHER_CORNERS.values()), "Score-CAM".__eq__)
        here, other = "not aligned", "aligned"
        if _set(workspace, "Score-CAM", "align_corners"):
            here, other = other, here
        return Deviation(
            "Upsampling inside Score-CAM",
            "the grad-cam package, which the authors used, upsamples the channels with aligned corners, and every "
            "final map without",
            f"corners {here} inside Score-CAM (in the first column: {other}); every final map without",
            _of_metrics(rows, [(name, score, score, "%") for score, name in OTHER_CORNERS.items()]),
            _command(self.name),
            ways=(f"corners {other}", f"here: {here}"),
        )

    def _rectified(self, workspace: Workspace) -> Deviation:
        rows = self.rows(workspace, (*SCORES, *OTHER_FEATURES.values()), "Opti-CAM".__eq__)
        here, other = "kept", "cut"
        if _set(workspace, "Opti-CAM", "relu_features"):
            here, other = other, here
        return Deviation(
            "ReLU on the feature maps of transformers",
            "the paper says that a transformer's feature maps keep their negative values; the authors' code cuts "
            "them at zero",
            f"negative values are {here} (in the first column: {other}); `relu_features` cuts them",
            _of_metrics(rows, [(name, score, score, "%") for score, name in OTHER_FEATURES.items()]),
            _command(self.name),
            ways=(f"{other}, as the {AUTHORS[other]}", f"here: {here}, as the {AUTHORS[here]}"),
        )

    def _checkpoint(self, workspace: Workspace) -> Deviation:
        """The accuracy tells checkpoints apart; the paper prints none for its transformers."""
        rows = self.rows(workspace, ("accuracy",))
        own = [name for name, beside in self.networks(workspace).items() if beside in TRANSFORMERS]
        found = rows[rows["network"].isin(own)].drop_duplicates(["network", "image"])
        accuracies = found.groupby("network", sort=False)["value"].agg(["mean", "size"])
        return Deviation(
            "Checkpoint of ViT-B",
            "not named, and no accuracy is printed for it; checkpoints of the same architecture differ by several "
            "points",
            f"{_beside(workspace, 'vit_b_16')}; the accuracy on the images explained is the second number",
            tuple(
                Effect(f"accuracy of {name}, {own['size']:.0f} images", float("nan"), own["mean"], "%")
                for name, own in accuracies.iterrows()
            ),
            _command("opticam-main"),
        )


def _resizing() -> Deviation:
    return Deviation(
        "Size of the pictures",
        "Appendix A says that pictures are resized to 224 x 224; the authors' demo code takes their short side to 256 "
        "and cuts the central 224 x 224 out",
        "as the demo code, where pictures come from files; `--resize squash224` does as the text",
        (),
        "run --profile imagenet --resize squash224 --only opticam-main",
    )


def _beside(workspace: Workspace, published: str) -> str:
    """The profile's own networks that stand beside a published one."""
    names = [own for own, beside in workspace.saliency.networks.items() if beside == published]
    return " and ".join(names) or "none in this profile"


def _set(workspace: Workspace, method: str, option: str) -> bool:
    """Whether the profile does as the authors' code, or the package that they used."""
    return bool(workspace.saliency.options.get(method, {}).get(option))


def _command(*names: str) -> str:
    return " ".join(["run", *(f"--only {name}" for name in names)])


def _of_metrics(rows: pd.DataFrame, pairs: Iterable[tuple[str, str, str, str]]) -> tuple[Effect, ...]:
    """Means of pairs of metrics (published, here, printed name, unit), on the images that have both."""
    effects = []
    for (network, method), own in rows.groupby(["network", "method"], sort=False):
        table = own.pivot(index="image", columns="metric", values="value")
        for published, here, name, unit in pairs:
            both = table.reindex(columns=[published, here]).dropna()
            if len(both):
                words = f"{name} of {method} on {network}, {len(both)} images"
                effects.append(Effect(words, both[published].mean(), both[here].mean(), unit))
    return tuple(effects)


def _of_frames(
    published: pd.DataFrame, here: pd.DataFrame, methods: Iterable[str], metrics: Sequence[str]
) -> tuple[Effect, ...]:
    """Measured means of two summaries, side by side."""
    keys = ["network", "method", "metric"]
    both = published.set_index(keys)[["measured", "n"]].join(
        here.set_index(keys)["measured"].rename("measured_here")
    )
    return tuple(
        Effect(
            f"{METRICS[metric].header} of {method} on {network}, {both.loc[(network, method, metric), 'n']} images",
            both.loc[(network, method, metric), "measured"],
            both.loc[(network, method, metric), "measured_here"],
            METRICS[metric].unit,
        )
        for network in published["network"].unique()
        for method in methods
        for metric in metrics
        if (network, method, metric) in both.index
    )
