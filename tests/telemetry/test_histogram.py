"""Histograms against the raw values that they stand for."""

import math

import pytest
from django.db import connection
from hypothesis import strategies as st

from telemetry import histogram
from tests.telemetry.test_facts import given

MS = st.floats(min_value=0, max_value=1e12) | st.integers(0, 10**6).map(float)


def exact(values, share):
    return sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]


@given(st.lists(MS, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_the_stated_error(values, share):
    found, right = histogram.quantile(histogram.of(values), share), exact(values, share)
    if right < histogram.FLOOR_MS:
        assert found == 0
    else:
        assert abs(found - right) <= right * histogram.ERROR * (1 + 1e-6)


@given(st.lists(st.lists(MS, max_size=30), max_size=6), st.randoms())
def test_the_sum_of_histograms_is_the_histogram_of_all(pieces, random):
    whole = histogram.of([value for piece in pieces for value in piece])
    assert histogram.merged(map(histogram.of, pieces)) == whole
    random.shuffle(pieces)
    for piece in pieces:
        histogram.add(whole, histogram.of(piece), -1)
    assert whole == {}


@given(st.floats())
def test_every_number_has_a_bucket(value):
    name = histogram.bucket(value)
    assert name == histogram.ZERO or histogram.BOTTOM <= int(name) <= histogram.TOP


def test_of_nothing_there_is_no_quantile():
    assert histogram.quantile({}, 0.5) is None


@pytest.mark.django_db
def test_the_database_finds_the_same_buckets():
    values = [0.0, 0.5, 1.0, 1.1, 7.3, 99.9, 100.0, 12345.6, 1e6, 3.3e9, 1e12, 1e20]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {histogram.sql('ms')} FROM unnest(%s::float8[]) WITH ORDINALITY AS v(ms, n) ORDER BY n", [values]
        )
        assert [row[0] for row in cursor.fetchall()] == [histogram.bucket(value) for value in values]
