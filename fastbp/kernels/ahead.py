"""What to prefetch while products are computed: a queue of tables, consumed tile by tile.

A table is rows of 2**shift cache lines, `stride` bytes apart. A tile asks for the next line every
2**slow turns of its loop: too many requests at once would hold up its own loads. When the queue
has run empty, the feature rows of the next batch follow one by one, where there are any.
"""

from numba import carray, types

from fastbp.kernels.jit import inline
from fastbp.kernels.simd import pointer_maker

# int64 words of a queue: the table at hand, its first line that is still to come, how many tables
# there are, and slow; then the rows of the next batch: the one at hand, how many, the address of
# their numbers, of row 0, bytes from row to row and lines of a row; then the tables.
TABLE, FIRST, TABLES, SLOW, ROW, ROWS, NUMBERS, FEATURES, ROW_BYTES, ROW_LINES, START = range(11)
CONTIGUOUS = 62  # the shift of a table that is one long row
FIELDS = 4  # of a table: address, shift, stride, lines
MOST_TABLES = 8
WORDS = START + FIELDS * MOST_TABLES

_words_at = pointer_maker(types.int64)


@inline
def begin(queue, features, row_bytes):
    """Empty the queue as a call begins, for batches of rows that are gathered from `features`.

    A call that ended early leaves row numbers whose memory may be gone.
    """
    words = carray(_words_at(queue), (WORDS,))
    for word in range(START):
        words[word] = 0
    words[FEATURES], words[ROW_BYTES], words[ROW_LINES] = (
        features,
        row_bytes,
        (row_bytes + 63) // 64,
    )


@inline
def clear(queue):
    """Forget all tables; queue: address of int64[WORDS]."""
    words = carray(_words_at(queue), (WORDS,))
    words[TABLE] = words[FIRST] = words[TABLES] = words[SLOW] = 0


@inline
def add(queue, address, shift, stride, lines):
    """Put a table behind the others; those that find no room are not prefetched."""
    words = carray(_words_at(queue), (WORDS,))
    number = words[TABLES]
    if number < MOST_TABLES:
        at = START + FIELDS * number
        words[at], words[at + 1], words[at + 2], words[at + 3] = address, shift, stride, lines
        words[TABLES] = number + 1


@inline
def spread(queue, turns):
    """Ask as slowly as `turns` turns of tiles allow for all lines of the tables."""
    words = carray(_words_at(queue), (WORDS,))
    lines = 0
    for number in range(words[TABLES]):
        lines += words[START + FIELDS * number + 3]
    slow = 0
    while 0 < lines << (slow + 1) <= turns:
        slow += 1
    words[SLOW] = slow


@inline
def announce(queue, numbers, rows):
    """The next batch's rows will be `rows` rows whose int64 numbers lie at an address."""
    words = carray(_words_at(queue), (WORDS,))
    words[ROW], words[ROWS], words[NUMBERS] = 0, rows, numbers


@inline
def take(queue, depth):
    """(table, shift, stride, first, slow, turns) for a tile with `depth` turns of k.

    turns: in how many of them to ask. With nothing to ask for it is 0: to ask for some line that
    is at hand anyway can cost a third of a small product's speed.
    """
    words = carray(_words_at(queue), (WORDS,))
    number, first, slow = words[TABLE], words[FIRST], words[SLOW]
    if number < words[TABLES]:
        at = START + FIELDS * number
        lines = words[at + 3]
        following = first + max(depth >> slow, 1)
        if following < lines:
            words[FIRST] = following
        else:
            words[TABLE], words[FIRST] = number + 1, 0
        turns = min(depth, (lines - first) << slow)
        return words[at], words[at + 1], words[at + 2], first, slow, turns
    row = words[ROW]
    if row < words[ROWS]:
        words[ROW] = row + 1
        number = carray(_words_at(words[NUMBERS]), (words[ROWS],))[row]
        table = words[FEATURES] + number * words[ROW_BYTES]
        return table, CONTIGUOUS, 0, 0, 0, min(depth, words[ROW_LINES])
    return 0, 0, 0, 0, 0, 0
