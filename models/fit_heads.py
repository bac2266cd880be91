"""Fit the heads asked for on the experiments of one encoder: heads of a group in one pass, others one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from photogenic.models.data.preparation import Preparation
from photogenic.models.data.samples import Samples
from photogenic.models.data.targets import Target
from photogenic.models.experiment import Experiment, combined
from photogenic.models.heads.base import FitData, FitSettings, Fitted, Head, measured
from photogenic.models.heads.model import Model
from photogenic.models.heads.registry import head as head_named
from photogenic.models.heads.registry import heads as registered
from photogenic.warehouse import InputError, Progress

__all__ = ["fit_all", "pairs"]

Pair = tuple[str, str]


def fit_all(experiments: Mapping[str, Experiment], wanted: Sequence[Pair], settings: FitSettings) -> dict[Pair, Fitted]:
    """Return (target, head) -> fitted head; with folds, the heads of all folds combined.

    Args:
        experiments: experiments by target name, of one encoder, setup and division.
        wanted: pairs of target name and head name.
        settings: seed, device and hyperparameter grid.
    """
    found: dict[Pair, list[Fitted]] = {pair: [] for pair in wanted}
    targets = list(dict.fromkeys(name for name, _ in wanted))
    for place in range(max((len(experiments[name].parts) for name in targets), default=0)):
        data: dict[str, FitData] = {}
        prepared: dict[str, tuple[Preparation, Samples]] = {}
        for name in targets:
            experiment, samples = experiments[name], experiments[name].part(place)
            made = Preparation.of(samples.part("train"), len(experiment.inputs), bounded=experiment.target.bounded)
            prepared[name] = made, samples
            data[name] = FitData(experiment.target, made.samples(samples), made.dims(experiment.dims))
        for own in _groups(wanted):
            for pair, fit in _fitted(own, data, settings).items():
                found[pair].append(_finished(pair[1], fit, experiments[pair[0]].target, *prepared[pair[0]]))
    return {pair: combined(fits) for pair, fits in found.items()}


def _finished(head: str, fit: Fitted, target: Target, prepared: Preparation, samples: Samples) -> Fitted:
    """Return a head that reads X as stored, and predicts in the unit of the labels.

    Raises:
        InputError: the head gives ratios, and the target is a number of any size.
    """
    if not prepared.arrays:
        return fit
    link = fit.model.link
    if not target.bounded:
        if link == "sigmoid":
            raise InputError(
                f"The head {head} gives numbers from 0 to 1, and {target.name} is a number of any size.",
                "a head whose link is identity where target.bounded is false",
                "change the class of the head, or leave it out of --head",
            )
        link = "unbounded"
    model = Model(fit.model.kind, link, {**fit.model.arrays, **prepared.arrays})
    made = measured(model, target, samples, fit.hyperparameters, prepared.scaled_back(fit.results))
    return made if not target.bounded else replace(made, dev_loss=fit.dev_loss)


def pairs(targets: Sequence[Target], heads: Sequence[Head], progress: Progress) -> list[tuple[Target, str]]:
    """Return every target with every head that can learn it, without the heads that are made of others.

    Raises:
        InputError: there are no such pairs.
    """
    found = []
    for target in targets:
        for head in heads:
            if head.made_of_others:
                continue
            if target.loss in head.losses:
                found.append((target, head.name))
            else:
                progress.note(f"{head.name} cannot learn {target.name}, and is left out.")
    if not found:
        raise InputError(
            f"Nothing to train: {', '.join(head.name for head in heads)} cannot learn "
            f"{', '.join(target.name for target in targets)}.",
            _what_suits(),
            "--head 0fc",
        )
    return found


def _groups(wanted: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Yield the pairs whose heads are fitted together, groups first; then each of the others alone."""
    groups: dict[str, list[Pair]] = {}
    for pair in wanted:
        if group := head_named(pair[1]).group:
            groups.setdefault(group, []).append(pair)
    yield from groups.values()
    yield from ([pair] for pair in wanted if not head_named(pair[1]).group)


def _fitted(own: Sequence[Pair], data: Mapping[str, FitData], settings: FitSettings) -> dict[Pair, Fitted]:
    head = head_named(own[0][1])
    if head.group:
        names = {name for _, name in own}
        ordered = [one.name for one in registered() if one.name in names]
        targets = dict.fromkeys(target for target, _ in own)
        fits = head.fit_group(ordered, {target: data[target] for target in targets}, settings)
        found = {pair: fits[pair] for pair in own}
    else:
        found = {own[0]: head.fit(data[own[0][0]], settings)}
    for (_, name), fit in found.items():
        _check_privacy(head_named(name), fit)
    return found


def _check_privacy(head: Head, fit: Fitted) -> None:
    """Refuse vectors that `features erase` would not find: it removes the heads that have an array `support`.

    Raises:
        InputError: `keeps_vectors` of the head does not match its arrays.
    """
    if head.keeps_vectors != ("support" in fit.model.arrays):
        raise InputError(
            f"The head {head.name} has keeps_vectors = {head.keeps_vectors}, and its arrays are "
            f"{', '.join(sorted(fit.model.arrays))}.",
            "keeps_vectors = True and an array of vectors called support, or neither",
            f"change the class of {head.name}: features erase uses both to find what it must remove",
        )


def _what_suits() -> str:
    """Name the heads that can learn some targets only."""
    ratio, answer = ([one.name for one in registered() if one.losses == (loss,)] for loss in ("mse", "log_loss"))
    return (
        f"{_or(ratio)} for like_ratio and other numbers; {_or(answer)} for popular, gender and other yes/no targets; "
        "the other heads for all; "
        "an ensemble together with heads that it can combine"
    )


def _or(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"
