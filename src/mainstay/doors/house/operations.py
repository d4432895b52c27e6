"""The commands of the house, as one table."""

from __future__ import annotations

from mainstay.doors.house.catalog import CHECK
from mainstay.doors.house.demo import DEMO
from mainstay.doors.house.happenings import RECORD
from mainstay.doors.house.serving import SERVE
from mainstay.doors.house.tokens import TOKEN

OPERATIONS = (CHECK, RECORD, SERVE, TOKEN, DEMO)
