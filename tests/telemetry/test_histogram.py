"""Histograms against the raw values that they stand for."""

import math
from collections import Counter

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
    values = [value for piece in pieces for value in piece]
    whole = sum(map(histogram.of, pieces))
    assert histogram.counts(whole) == Counter(map(histogram.bucket, values))
    assert histogram.size(whole) == len(values)
    random.shuffle(pieces)
    for piece in pieces:
        whole -= histogram.of(piece)
    assert whole == 0


BUCKETS = st.integers(histogram.BOTTOM, histogram.TOP).map(str) | st.just(histogram.ZERO)


@given(st.dictionaries(BUCKETS, st.integers(-(2**40), 2**60).filter(bool)))
def test_what_is_kept_is_what_was_there(counts):
    packed = histogram.pack(histogram.of_counts(counts))
    assert histogram.counts(histogram.unpack(packed)) == counts
    assert histogram.size(histogram.unpack(packed)) == sum(counts.values())
    assert (packed is None) == (not counts)


@given(st.dictionaries(BUCKETS, st.integers(1, 2**40), min_size=1), st.dictionaries(BUCKETS, st.integers(1, 9)))
def test_what_is_less_than_nothing_hides_nothing_else(counts, more):
    """As where what came late takes back what is no longer kept."""
    taken = histogram.of_counts(counts) - histogram.of_counts(more)
    left = {name: count - more.get(name, 0) for name, count in counts.items()}
    left |= {name: -count for name, count in more.items() if name not in counts}
    assert histogram.counts(taken) == {name: count for name, count in left.items() if count}
    some = histogram.of_counts({name: count for name, count in left.items() if count > 0})
    assert histogram.quantiles(taken, (0, 0.5, 1)) == histogram.quantiles(some, (0, 0.5, 1))


@given(st.floats())
def test_every_number_has_a_bucket(value):
    name = histogram.bucket(value)
    assert name == histogram.ZERO or histogram.BOTTOM <= int(name) <= histogram.TOP


def test_of_nothing_there_is_no_quantile():
    assert histogram.quantile(0, 0.5) is None


@pytest.mark.django_db
def test_the_database_finds_the_same_buckets():
    values = [0.0, 0.5, 1.0, 1.1, 7.3, 99.9, 100.0, 12345.6, 1e6, 3.3e9, 1e12, 1e20]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {histogram.sql('ms')} FROM unnest(%s::float8[]) WITH ORDINALITY AS v(ms, n) ORDER BY n", [values]
        )
        assert [row[0] for row in cursor.fetchall()] == [histogram.bucket(value) for value in values]
