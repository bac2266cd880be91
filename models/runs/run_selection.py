"""Choose the run that predicts: one rule for `predict`, `crop`, a sender's taste, the report, the API and the pages.

    1. target      trained runs of the target; if it is a column, with the weight of the newest run
    2. promoted    the promoted run (`features runs promote`). If it cannot predict here, that is an error: another run
                   never answers in its place
    3. usable      runs with a dev figure, a complete folder, a registered head, and encoders of the same version as in
                   training; the other runs are left out, each with a note
    4. setup       one_face before all
    5. division    the published one (8:1:1 of photo_setups) before others; of the others, that of the newest run
    6. photos      runs with the same dev photos as the run with most of them: encoders may lack a few, so 90 % of the
                   run's own must be among them, and it must have 50 % of them
    7. dev         the best dev figure; if equal, the smallest run_id

Figures on dev are compared within one target, setup, division and set of photos only; otherwise the photos differ and
not the heads. A photo in which the chosen head finds no face, or several, gets the prediction of the run that the same
rule chooses in setup all, by steps 3 to 7. A crop, for which a promoted head on faces alone cannot be asked, is chosen
by the best head on whole photos, with a note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic._lazy import pl
from photogenic.features.encoders import registry
from photogenic.features.faces.detector import FaceSettings
from photogenic.models.data.samples import encoder_parts
from photogenic.models.data.split_config import DEFAULT_SPLIT
from photogenic.models.data.targets import Target, is_column, recorded
from photogenic.models.data.targets import target as target_named
from photogenic.models.runs import run_store
from photogenic.models.runs.input_check import check_encoders
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import InputError, Layout, PhotogenicError, StoreError
from photogenic.warehouse.columns import split_name
from photogenic.warehouse.user_modules import VARIABLES, how_to_register

__all__ = ["FACELESS", "Ask", "Candidate", "Choice", "LeftOut", "choose", "problem_here", "reads_whole_photos", "shown"]

FACELESS = ("no_face", "several_faces")
"""Statuses of photos for which a head on faces cannot predict."""

Ask = Callable[[str, dict[str, Any]], "pl.DataFrame"]
"""Function that runs a query with parameters on a store, or on the snapshot of a server."""

_SHARED, _OF_WIDEST = 0.9, 0.5
"""Smallest share of a run's dev photos that the largest run has too, and smallest share of the largest run's photos."""

_CANDIDATES = """
select
    run_id, target, setup, encoder, head, dev, created_at,
    coalesce(json_extract_string(hyperparameters, '$.division'), '8:1:1') as division, metric,
    json_extract_string(hyperparameters, '$.weight') as weight, origin, promoted
from runs
where target = $target
order by run_id
"""

_DEV_PHOTOS = """
with tuned as (
    select run_id, photo_id
    from predictions
    where list_contains($runs, run_id) and split = $split
),

sizes as (select run_id, count(*) as n from tuned group by run_id),

widest as (select run_id, n from sizes inner join runs using (run_id) order by n desc, created_at desc, run_id limit 1)

select sizes.run_id, sizes.n, count(other.photo_id) as n_both, widest.n as n_widest
from sizes
cross join widest
inner join tuned on sizes.run_id = tuned.run_id
left join tuned as other on widest.run_id = other.run_id and tuned.photo_id = other.photo_id
group by sizes.run_id, sizes.n, widest.n
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of `runs`, with the columns that the rule uses."""

    run_id: str
    target: str
    setup: str
    encoder: str
    head: str
    dev: float | None
    created_at: Any
    division: str
    metric: str = ""
    weight: str | None = None
    origin: str = "trained"
    promoted: bool = False

    @property
    def has_weights(self) -> bool:
        """Whether it can predict new pictures: it was trained here, and not ingested as predictions."""
        return self.origin != run_store.INGESTED


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that cannot predict here: the reason, and the remedy."""

    run: Candidate
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.run.run_id} ({self.run.encoder} {self.run.head}): {self.why} To use it again: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Result of the rule.

    Attributes:
        run: run that predicts.
        fallback: run that predicts for photos without a face or with several. None: there is no such run.
        left_out: runs of the target that were left out of the choice.
    """

    run: Candidate
    fallback: Candidate | None
    left_out: tuple[LeftOut, ...]

    @property
    def notes(self) -> list[str]:
        """One line for each run that was left out."""
        return [f"Left out of the choice: run {one}" for one in self.left_out]


def choose(
    layout: Layout,
    ask: Ask,
    target: str,
    *,
    fits: Callable[[Run], None],
    among: Callable[[Candidate], bool] = lambda _: True,
) -> Choice:
    """Choose the run that predicts a target.

    Args:
        layout: layout of the store, with the folders of runs.
        ask: function that queries `runs` and `predictions`.
        target: target to predict: like_ratio, popular, gender, or a column that a run was trained for.
        fits: check of a run; it raises a PhotogenicError if an encoder has changed.
        among: filter of runs before the choice.

    Raises:
        InputError: no head is trained for that target.
        StoreError: heads are trained, and none of them can predict here; or the promoted run cannot.
    """
    everything = _candidates(ask, target)
    known = _known_target(ask, target, everything)
    trained = [candidate for candidate in everything if candidate.has_weights]
    found = [candidate for candidate in trained if among(candidate)]
    if not found:
        raise _no_run_error(layout, ask, known, n_ingested=len(everything) - len(trained))
    left_out, usable, chosen = list[LeftOut](), list[Candidate](), list[Candidate]()
    promoted = next((candidate for candidate in trained if candidate.promoted), None)
    if promoted in found:
        problem = problem_here(layout, promoted, fits, promoted=True)
        if problem is not None:
            raise _promoted_error(problem)
        chosen = [promoted]
        found = [one for one in found if one.setup != "one_face"] if promoted.setup == "one_face" else []
    elif promoted is not None:
        left_out.append(LeftOut(promoted, _ON_FACES, "features runs promote RUN"))
    for candidate in found:
        problem = _problem(layout, candidate, fits)
        if problem is None:
            usable.append(candidate)
        else:
            left_out.append(problem)
    for candidate in _ordered(ask, known, usable):
        if chosen and candidate.setup == "one_face":
            continue
        try:
            run_store.verify(layout, candidate.run_id)
        except PhotogenicError as error:
            left_out.append(_left_out(candidate, error))
            continue
        chosen.append(candidate)
        if candidate.setup != "one_face":
            break
    if not chosen:
        raise StoreError(
            f"None of {len(found)} heads for {known.name} can predict here:\n" + "\n".join(map(str, left_out)),
            "a run with a complete folder, and encoders that are available here",
            left_out[0].remedy,
        )
    return Choice(chosen[0], chosen[1] if len(chosen) > 1 else None, tuple(left_out))


def shown(layout: Layout, ask: Ask, target: str) -> Candidate | None:
    """Return the run whose predictions are shown: the chosen one, or the best of all runs if none can predict here."""
    try:
        return choose(
            layout, ask, target, fits=lambda run: check_encoders(run, FaceSettings(), models=layout.models)
        ).run
    except PhotogenicError:
        found = _candidates(ask, target)
        for one in found:
            if one.promoted:
                return one
        rated = [one for one in found if _has_dev_figure(one)]
        chosen = [one for one in rated if one.has_weights] or rated
        if not chosen:
            return found[0] if found else None
        return next(iter(_ordered(ask, recorded(target, chosen[0].metric), chosen)), None)


def reads_whole_photos(candidate: Candidate, *, models: Path) -> bool:
    """Return whether a head reads more of a photo than the face; true if its encoder is unknown here."""
    try:
        return any(registry.encoder(part, models).input == "photo" for part in encoder_parts(candidate.encoder))
    except PhotogenicError:
        return True


def _candidates(ask: Ask, target: str) -> list[Candidate]:
    return [Candidate(**row) for row in ask(_CANDIDATES, {"target": target}).to_dicts()]


def _known_target(ask: Ask, name: str, found: Sequence[Candidate]) -> Target:
    """Return the target of that name; of a column, that of its runs.

    Raises:
        InputError: it is no target, and no run was trained for it.
    """
    if found:
        return recorded(name, found[0].metric)
    if is_column(name):
        split_name(name, "--target")
        return recorded(name, "mse")
    return target_named(name, ask("select distinct target from runs order by target", {})["target"])


def _has_dev_figure(candidate: Candidate) -> bool:
    return candidate.dev is not None and math.isfinite(candidate.dev)


def problem_here(
    layout: Layout, candidate: Candidate, fits: Callable[[Run], None], *, promoted: bool = False
) -> LeftOut | None:
    """Return the reason why a run cannot predict here, or None; every byte of it is checked.

    Args:
        layout: layout of the store, with the folders of runs.
        candidate: the run.
        fits: check of a run; it raises a PhotogenicError if an encoder has changed.
        promoted: whether the run was named, so that its figure on dev does not matter.
    """
    if not candidate.has_weights:
        return LeftOut(candidate, "it holds predictions that were made elsewhere.", "features train")
    problem = _problem(layout, candidate, fits, named=promoted)
    if problem is None:
        try:
            run_store.verify(layout, candidate.run_id)
        except PhotogenicError as error:
            return _left_out(candidate, error)
    return problem


def _problem(
    layout: Layout, candidate: Candidate, fits: Callable[[Run], None], *, named: bool = False
) -> LeftOut | None:
    """Return the reason why a run is left out, or None."""
    if not named and not _has_dev_figure(candidate):
        return LeftOut(candidate, "it has no figure on dev.", f"name it with --run {candidate.run_id}")
    if not run_store.finished(layout, candidate.run_id):
        return LeftOut(
            candidate, f"its folder {layout.models / candidate.run_id} is not there.", "train it again, or restore it"
        )
    try:
        run = run_store.described(layout, candidate.run_id)
        run_store.check_head(run)
    except PhotogenicError as error:
        return _left_out(candidate, error)
    for name in encoder_parts(candidate.encoder):
        try:
            available = registry.encoder(name, layout.models).available
        except PhotogenicError as error:
            own = not {"@", ":"} & set(name) and not any(variable in error.what for variable in VARIABLES)
            remedy = how_to_register(name) if own else error.remedy
            return LeftOut(candidate, error.what, remedy)
        if not available:
            return LeftOut(candidate, f"the weights of {name} are not on this machine.", "features weights fetch")
    try:
        fits(run)
    except PhotogenicError as error:
        return LeftOut(candidate, error.what, error.remedy)
    return None


def _left_out(candidate: Candidate, error: PhotogenicError) -> LeftOut:
    return LeftOut(candidate, error.what.rstrip(".") + ".", error.remedy)


def _ordered(ask: Ask, target: Target, found: Sequence[Candidate]) -> Iterator[Candidate]:
    """Yield runs in the order of the rule: comparable runs, best first, then the next group of comparable runs."""
    left = list(found)
    while left:
        group = _comparable(ask, left)
        yield from sorted(group, key=lambda one: (_error(target, one), one.run_id))
        taken = {one.run_id for one in group}
        left = [one for one in left if one.run_id not in taken]


def _comparable(ask: Ask, found: Sequence[Candidate]) -> list[Candidate]:
    """Return the first group of the rule: runs of one setup and division, with the same dev photos."""
    setup = "one_face" if any(one.setup == "one_face" for one in found) else "all"
    own = [one for one in found if one.setup == setup]
    newest = max(own, key=lambda one: (one.created_at, one.run_id))
    stored = any(one.division == DEFAULT_SPLIT.name for one in own)
    division = DEFAULT_SPLIT.name if stored else newest.division
    own = [one for one in own if one.division == division]
    weight = max(own, key=lambda one: (one.created_at, one.run_id)).weight
    own = [one for one in own if one.weight == weight]
    # With folds, each photo is once in dev and once in test; `predictions` records only test.
    values = {"runs": [one.run_id for one in own], "split": "test" if "folds" in division else "dev"}
    alike = {
        run_id
        for run_id, n, both, widest in ask(_DEV_PHOTOS, values).iter_rows()
        if both >= max(_SHARED * n, _OF_WIDEST * widest)
    }
    # A run without predictions, e.g. after an erase, is compared with the others.
    return [one for one in own if one.run_id in alike] or own


def _error(target: Target, candidate: Candidate) -> float:
    dev = candidate.dev if candidate.dev is not None else math.inf
    return -dev if target.higher_is_better else dev


_ON_FACES = "it is promoted, but its vectors are computed from the face alone, which is the same in every crop."


def _promoted_error(problem: LeftOut) -> StoreError:
    run = problem.run
    return StoreError(
        f"Run {run.run_id} ({run.encoder} {run.head}) is promoted for {run.target}, and cannot predict here: "
        f"{problem.why}",
        "a promoted run that can predict here; no other run answers in its place",
        f"{problem.remedy}; or features runs demote {run.target}; or another run by --run",
    )


def _no_run_error(layout: Layout, ask: Ask, target: Target, *, n_ingested: int) -> InputError:
    """Return the error for a target without rows in `runs`; it names finished heads that are not published."""
    known = set(ask("select run_id from runs", {})["run_id"])
    unknown = 0
    for name in run_store.folders(layout):
        try:
            unknown += name not in known and run_store.described(layout, name).target == target.name
        except PhotogenicError:
            continue
    if unknown:
        return InputError(
            f"{unknown} heads for {target.name} are trained, and are not in the relation `runs` yet: training ended "
            "before it published them.",
            "a run of that target in `runs`",
            f"the same features train --target {target.name} again: it keeps these heads, and publishes them",
        )
    holds = "run of it holds" if n_ingested == 1 else "runs of it hold"
    only = f" {n_ingested} {holds} predictions that were made elsewhere, and no weights." if n_ingested else ""
    return InputError(
        f"No head for {target.name} was trained yet.{only}",
        "a run of that target",
        f"features train --target {target.name}",
    )
