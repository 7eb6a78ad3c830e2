"""How do features change in a stage? A dictionary of before is held against one of after.

alike_before       largest cosine of each living feature with those of before, mean; the control is
                   another training on the vectors of before: how alike two trainings are
explained_by_old   variance of the vectors of after that the dictionary of before explains; the
                   control is that of the vectors of before
moved              1 - cosine of a question's codes before and after, in the dictionary of before,
                   by subset; the control is the subset that the stage does not train
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from interp.dictionaries.aliases import Share
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.places import Place
from interp.dictionaries.quality import vector_quality
from interp.dictionaries.readings import read_rows
from interp.dictionaries.rows import ALIKE, MOVED, OLD_VARIANCE, feature_row
from interp.dictionaries.training import FitSettings, fit_dictionary
from training.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class Before:
    """The same place in the checkpoint before the stage, and the dictionary of it."""

    place: Place
    settings: FitSettings
    seed: int

    def rows(self, place: Place, baseline: str | None) -> Iterator[dict[str, object]]:
        """What changed since, as rows of the table.

        Args:
            place: After the stage.
            baseline: The subset whose aliases the stage does not train.
        """
        vectors = self.place.training_vectors()
        old = fit_dictionary(vectors, self.settings, seed=self.seed)
        # Trainings that are compared begin with other features, or they would be alike by birth.
        other_seed = derive_seed(self.seed, "dictionary of after")
        again = fit_dictionary(vectors, self.settings, seed=other_seed)
        after = place.training_vectors()
        new = fit_dictionary(after, self.settings, seed=other_seed)
        alike, control = (
            _likeness(dictionary, old, dictionary.encode(of).numpy())
            for dictionary, of in ((new, after), (again, vectors))
        )
        yield feature_row(ALIKE, alike, control=control, n=new.n_features)
        reading = read_rows(place.model, place.questions(Share.REPORT), place.role)
        explained = [
            vector_quality(each.vectors(reading), old)["explained_variance"]
            for each in (place, self.place)
        ]
        n = reading.n_vectors
        yield feature_row(OLD_VARIANCE, explained[0], control=explained[1], n=n)
        yield from self._moved(place, old, baseline)

    def _moved(
        self, place: Place, old: Dictionary, baseline: str | None
    ) -> Iterator[dict[str, object]]:
        questions = place.questions(Share.REPORT)
        before, after = self.place.codes(old, questions), place.codes(old, questions)
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        moved = 1 - (before * after).sum(1) / lengths.clip(1e-12)
        subsets = np.array([row.row.subset.name for row in questions])
        control = moved[subsets == baseline].mean() if baseline in subsets else np.nan
        for subset in dict.fromkeys(subsets.tolist()):
            of = moved[subsets == subset]
            yield feature_row(MOVED, of.mean(), control=control, n=len(of), subset=subset)


def _likeness(
    dictionary: Dictionary, old: Dictionary, codes: Float[np.ndarray, "vector feature"]
) -> float:
    """The mean largest cosine of the features that fire with those of another dictionary."""
    lives = (codes > 0).any(0)
    cosines = dictionary.decoder.numpy()[lives] @ old.decoder.numpy().T
    return float(cosines.max(1).mean()) if lives.any() else float("nan")
