"""What to prefetch while products are computed: a queue of tables, consumed tile by tile.

A table is rows of some cache lines, `stride` bytes apart; a listed table takes row numbers from
an array. A tile asks for the next line every 2**slow turns of its loop: too many requests at once
would hold up its own loads. When the queue has run empty, the next batch's rows follow.
"""

from numba import carray, types

from fastbp.kernels.machine.jit import INT, inline, inline_early
from fastbp.kernels.machine.pointers import pointer_maker
from fastbp.kernels.machine.sizes import sizes_at

# int64 words of a queue: the table at hand, its first line that is still to come, how many tables
# there are, and slow; from NEXT on the same of the next batch; then the tables, its own first.
TABLE, FIRST, TABLES, SLOW = range(4)
NEXT = 4
SIZES = 8  # the address of the sizes of blocks, for the product
# Addresses of memory for copies of rows that lie far apart, of a panel of B, a block of deltas and
# the activations of a strip; 0 where the network has no such rows. In the place of the panel there
# is that for rounded operands, of a network that has them.
PANEL, DELTA, BELOW = 9, 10, 11
START = 12
FIELDS = 6  # of a table: address, lines a row, 2**32 / lines a row, stride, numbers or 0, lines
ADDRESS, WIDTH, INVERSE, STRIDE, NUMBERS, LINES = range(FIELDS)
ROW_TABLES = 2  # of the next batch: features and targets
MOST_TABLES = 8
WORDS = -(-(START + FIELDS * (ROW_TABLES + MOST_TABLES)) // 8) * 8  # no two share a cache line
FEATURES, TARGETS = START, START + FIELDS

_words_at = pointer_maker(types.int64)


@inline_early
def sizes_of(queue):
    """The table `machine.sizes.SIZES` whose address stands in a queue."""
    return carray(sizes_at(carray(_words_at(queue), (WORDS,))[SIZES]), (1,))[0]


@inline_early
def room_of(queue, word):
    """The address of memory for copies that stands in a queue, or 0; word: which."""
    return carray(_words_at(queue), (WORDS,))[word]


@inline_early
def clear(queue):
    """Forget all tables but the next batch's; queue: address of int64[WORDS]."""
    words = carray(_words_at(queue), (WORDS,))
    words[TABLE] = words[FIRST] = words[TABLES] = words[SLOW] = 0


@inline
def add(queue, address, width, stride, lines):
    """Put a table behind the others; an empty one, or one without room, is left out.

    width: lines of a row, or 0: all lines are one row.
    """
    words = carray(_words_at(queue), (WORDS,))
    number = words[TABLES]
    if number < MOST_TABLES and lines > 0:
        at = START + FIELDS * (ROW_TABLES + number)
        words[at + ADDRESS], words[at + WIDTH] = address, width
        words[at + INVERSE] = _inverse(width)
        words[at + STRIDE], words[at + NUMBERS], words[at + LINES] = stride, 0, lines
        words[TABLES] = number + 1


@inline
def _inverse(width):
    """line * inverse >> 32 is the row of a line: 0 for one long row."""
    return ((1 << 32) + width - 1) // width if width > 0 else 0


@inline
def spread(queue, turns):
    """Ask as slowly as `turns` turns of tiles allow for all lines of the tables."""
    words = carray(_words_at(queue), (WORDS,))
    lines = 0
    for number in range(words[TABLES]):
        lines += words[START + FIELDS * (ROW_TABLES + number) + LINES]
    words[SLOW] = _slowness(lines, turns)


@inline
def _slowness(lines, turns):
    """The largest s with lines * 2**s <= turns."""
    slow = 0
    while 0 < lines << (slow + 1) <= turns:
        slow += 1
    return slow


@inline
def list_rows(words, at, address, row_bytes):
    """A table of whole rows whose numbers will be announced."""
    width = (row_bytes + 62) // 64 + 1  # a row may begin and end within a line
    if row_bytes == 0:
        width = 0
    elif 64 % row_bytes == 0 and address % row_bytes == 0:
        width = 1
    elif address % 64 == 0 and row_bytes % 64 == 0:
        width = row_bytes // 64
    words[at + ADDRESS], words[at + WIDTH] = address, width
    words[at + INVERSE], words[at + STRIDE] = _inverse(width), row_bytes
    words[at + LINES] = 0


@inline
def begin(queue, features, feature_bytes, targets, target_bytes):
    """Empty the queue as a call begins, whose batches take rows of two arrays.

    A call that ended early leaves row numbers whose memory may be gone.
    """
    words = carray(_words_at(queue), (WORDS,))
    for word in range(SIZES):
        words[word] = 0
    list_rows(words, INT(FEATURES), features, feature_bytes)
    list_rows(words, INT(TARGETS), targets, target_bytes)


@inline
def announce(queue, numbers, rows, turns):
    """The next batch's rows will be `rows` rows whose int64 numbers lie at an address.

    turns: of tiles, about as many as there will be until then.
    """
    words = carray(_words_at(queue), (WORDS,))
    lines = 0
    for at in range(START, START + ROW_TABLES * FIELDS, FIELDS):
        words[at + NUMBERS], words[at + LINES] = numbers, rows * words[at + WIDTH]
        lines += rows * words[at + WIDTH]
    words[NEXT + TABLE] = words[NEXT + FIRST] = 0
    words[NEXT + TABLES], words[NEXT + SLOW] = ROW_TABLES, _slowness(lines, turns)


@inline
def take(queue, depth):
    """(address, width, inverse, stride, numbers, first, slow, turns) for a tile of `depth` turns.

    turns: in how many of them to ask. With nothing to ask for it is 0: to ask for some line that
    is at hand anyway can cost a third of a small product's speed.
    """
    words = carray(_words_at(queue), (WORDS,))
    of, tables = 0, START + FIELDS * ROW_TABLES
    if words[TABLE] >= words[TABLES]:
        of, tables = NEXT, START
    number, first, slow = words[of + TABLE], words[of + FIRST], words[of + SLOW]
    if number >= words[of + TABLES]:
        return 0, 0, 0, 0, 0, 0, 0, 0
    at = tables + FIELDS * number
    lines = words[at + LINES]
    following = first + max(depth >> slow, 1)
    if following < lines:
        words[of + FIRST] = following
    else:
        words[of + TABLE], words[of + FIRST] = number + 1, 0
    turns = min(depth, (lines - first) << slow)
    return (
        words[at + ADDRESS], words[at + WIDTH], words[at + INVERSE], words[at + STRIDE],
        words[at + NUMBERS], first, slow, turns,
    )  # fmt: skip
