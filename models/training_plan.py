"""Plan of a training: the targets and inputs that are found in the store, the encoders, and the data of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from photogenic.features.build import held_encoders
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.encoders.registry import encoder as encoder_named
from photogenic.features.vectors.reader import manifest
from photogenic.models.data.samples import NO_ENCODER, encoder_parts
from photogenic.models.data.targets import Target, is_column, target_of
from photogenic.models.data.targets import target as target_named
from photogenic.models.experiment import Experiment, OneAnswerError, no_mirrors
from photogenic.models.options import TrainOptions
from photogenic.warehouse import EncoderError, InputError, Store, StoreError
from photogenic.warehouse.columns import ColumnRef, resolve
from photogenic.warehouse.user_modules import how_to_register

__all__ = ["TrainingPlan"]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Targets and inputs of one call to `train`.

    Attributes:
        store: store with the labels, vectors and relations.
        inputs: columns that the heads read beside the vectors.
    """

    store: Store
    options: TrainOptions
    targets: tuple[Target, ...]
    inputs: tuple[ColumnRef, ...]
    _told: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, store: Store, options: TrainOptions) -> TrainingPlan:
        """Find the targets and inputs in the store.

        Raises:
            InputError: one does not exist, has a type that does not fit, or is both target and input; or a weight has
                no target that it could be for.
        """
        columns = [name for name in options.target if is_column(name)]
        if options.weight is not None and not columns:
            raise InputError(
                f"--weight {options.weight} is for a target that is a column, and {', '.join(options.target)} is none.",
                "a target such as relation.column; like_ratio is weighted by its swipes",
                f"--target relation.column --weight {options.weight}",
            )
        if not (columns or options.features):
            return cls(store, options, tuple(target_named(name) for name in options.target), ())
        with store.database.read() as con:
            targets = tuple(target_of(con, name, weight=options.weight) for name in options.target)
            inputs = tuple(resolve(con, options.features or ()))
        for target in targets:
            if target.name in {ref.name for ref in inputs}:
                raise InputError(
                    f"{target.name} is both the target and one of the features.",
                    "features that do not contain the target",
                    f"--features without {target.name}" + (", each column by its name" if len(inputs) > 1 else ""),
                )
        return cls(store, options, targets, inputs)

    def encoders(self) -> Sequence[str]:
        """Return the encoders asked for; by default those of the default pair, or all, that the store has vectors of.

        Raises:
            InputError: `none` is asked for without inputs, or joined with an encoder.
        """
        if self.options.encoders is not None:
            for name in self.options.encoders:
                self._check_none(name)
            return self.options.encoders
        held = []
        for name in held_encoders(self.store.layout):
            try:
                held.append(encoder_named(name, self.store.layout.models).name)
            except EncoderError as error:
                remedy = how_to_register(name)
                self.store.progress.note(f"The vectors of {name} are left out: {error.what} To use them: {remedy}.")
        usual = [name for name in DEFAULT if name in held]
        for name in DEFAULT if usual else ():
            if name not in held:
                self.store.progress.note(
                    f"The store holds no {name} vectors: left out. features build --encoder {name} makes them."
                )
        return usual or held or DEFAULT

    def require_vectors(self, encoders: Sequence[str]) -> None:
        """Refuse encoders without vectors in the store; with `--flip`, also without vectors of mirror images.

        Raises:
            InputError: `none` has no mirror images.
            StoreError: an encoder has no vectors.
        """
        self.store.database.require()
        parts = dict.fromkeys(part for several in encoders for part in encoder_parts(several))
        missing = [part for part in parts if not self.store.layout.embeddings(part).exists()]
        if missing:
            asked = "".join(f" --encoder {part}" for part in missing)
            raise StoreError(
                f"The store {self.store.layout.root} holds no {' and no '.join(missing)} vectors.",
                "vectors of every encoder whose heads are trained",
                f"features build{asked} --store {self.store.layout.root}",
            )
        if not self.options.flip:
            return
        if NO_ENCODER in encoders:
            raise InputError("--encoder none has no pictures to mirror.", "an encoder", "features train without --flip")
        for part in parts:
            if not manifest(self.store.layout, part).n_flips:
                raise no_mirrors(part)

    def experiments(self, encoder: str, setup: str) -> dict[str, Experiment]:
        """Read the experiments by target; of several targets, those with one label only are left out.

        Raises:
            OneAnswerError: no target remains.
        """
        found: dict[str, Experiment] = {}
        problems: list[OneAnswerError] = []
        for target in self.targets:
            try:
                found[target.name] = self.experiment(target.name, encoder, setup, flip=self.options.flip)
            except OneAnswerError as error:
                problems.append(error)
        if problems and not found:
            raise problems[0]
        for problem in problems:
            self.store.progress.note(f"{problem.what} Left out.")
        for experiment in found.values():
            self._tell(experiment)
        return found

    def experiment(self, name: str, encoder: str, setup: str, *, flip: bool) -> Experiment:
        """Read the experiment of one target."""
        target = next(one for one in self.targets if one.name == name)
        return Experiment.of(
            self.store,
            target,
            encoder,
            setup,
            self.options.division,
            flip=flip,
            inputs=self.inputs,
            allow_correlated=self.options.allow_correlated,
        )

    def _check_none(self, encoder: str) -> None:
        if NO_ENCODER not in encoder.split("+"):
            return
        if encoder != NO_ENCODER:
            raise InputError(
                f"--encoder {encoder} joins none with an encoder.", "none alone, or encoders", "--encoder none"
            )
        if not self.inputs:
            raise InputError(
                "--encoder none reads no embeddings, and there are no --features: heads have nothing to read.",
                "columns that the heads read",
                "--encoder none --features 'photos.*'; or another --encoder",
            )

    def _tell(self, experiment: Experiment) -> None:
        """Say once how many photos of a setup a column leaves out, and which inputs have no value in train."""
        counts, target, notes = experiment.left_out, experiment.target, []
        lost = [f"{counts['no_value']:,} have no value"] if counts.get("no_value") else []
        if counts.get("no_weight") and target.weight is not None:
            lost.append(f"{counts['no_weight']:,} have no {target.weight.name} above 0")
        if lost:
            notes.append(
                f"{target.name}: of the {counts['photos']:,} photos of setup {experiment.setup}, {' and '.join(lost)}. "
                "They are left out."
            )
        n_train = int(np.sum(experiment.parts[0].split == "train"))
        notes += [
            f"{each['name']} has no value for any photo of train in setup {experiment.setup}."
            for each in experiment.declared().get("inputs", ())
            if each["missing"]["train"] == n_train
        ]
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                self.store.progress.note(note)
