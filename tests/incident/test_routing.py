"""Which group an alert belongs to: one name for one group, whatever stands in services, keys and labels."""

from __future__ import annotations

from itertools import product

from mainstay.incident.ongoing import Key
from mainstay.incident.routing import group_of
from mainstay.incident.spec import Route

_TEXTS = ["".join(signs) for length in range(4) for signs in product("a/\\{", repeat=length)]
_VALUES = ["".join(signs) for length in range(4) for signs in product("b,\\=", repeat=length)]


def test_alerts_of_different_keys_or_values_never_share_the_name_of_a_group():
    alone = {group_of(Route(), Key(service, key), {}) for service in _TEXTS for key in _TEXTS}
    by_labels = {group_of(Route(policy="web", group_by=("a", "b")), Key("", "x"), {"a": one, "b": other})
                 for one in _VALUES for other in _VALUES}
    assert (len(alone), len(by_labels)) == (len(_TEXTS) ** 2, len(_VALUES) ** 2)
    assert not alone & by_labels


def test_a_group_of_common_values_is_called_as_people_write_them():
    assert group_of(Route(), Key("web", "HighLatency/10.0.0.1:9090"), {}) == "web/HighLatency/10.0.0.1:9090"
    assert group_of(Route(policy="web", group_by=("path",)), Key("", "x"), {"path": "/api"}) == "web{path=/api}"
