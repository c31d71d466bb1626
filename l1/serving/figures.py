"""Figures in the format that Prometheus scrapes. Read when asked for, never counted; no global registry."""

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["FIGURES_TYPE", "Figure", "exposition"]

FIGURES_TYPE = CONTENT_TYPE_LATEST


class Figure(NamedTuple):
    """A number, or with `label` one number for each of the label's values."""

    name: str
    about: str
    value: float | dict[str, float]
    label: str = ""


def exposition(figures: Iterable[Figure]) -> bytes:
    registry = CollectorRegistry()
    for figure in figures:
        if isinstance(figure.value, dict):
            gauge = Gauge(figure.name, figure.about, [figure.label], registry=registry)
            for name, value in figure.value.items():
                gauge.labels(name).set(value)
        else:
            Gauge(figure.name, figure.about, registry=registry).set(figure.value)
    return generate_latest(registry)
