"""Pages of metrics, as Prometheus reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Metric
    from prometheus_client.samples import Sample


class Page(NamedTuple):
    """A parsed page.

    Attributes:
        text: The page itself.
        metrics: Its metrics by name.
    """

    text: str
    metrics: Mapping[str, Metric]

    @property
    def samples(self) -> list[Sample]:
        """All samples."""
        return [sample for metric in self.metrics.values() for sample in metric.samples]

    def values(self, name: str, *by: str, **labels: str) -> dict[tuple[str, ...] | str, float]:
        """Return the values of a metric by one or several labels."""
        found: dict[tuple[str, ...] | str, float] = {}
        for sample in self.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                key = tuple(sample.labels[label] for label in by)
                found[key[0] if len(key) == 1 else key] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """Return the only value of a metric with these labels, or None if there is no value."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) < 2, f"{name} {labels}: {found}"
        return found[0] if found else None


def parse(page: bytes) -> Page:
    """Parse a page with the parser of the Prometheus client."""
    text = page.decode()
    return Page(text, {metric.name: metric for metric in text_string_to_metric_families(text)})
