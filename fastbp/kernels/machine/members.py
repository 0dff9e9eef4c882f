"""The compiled part of the pool: how its members wait, are given work, and come and go.

A pool is one array of records, which is never freed while a thread may look at it: record 0 is the
pool's own, each other one a place for a member. A member that waits spins shortly, then offers its
core to others, then sleeps: soon where others take the core. Who wants a team takes idle members,
as many as it needs or none, so that no two teams wait for each other; it leads them, as member 0,
to the end of the work.
"""

from fastbp.kernels.machine import parking, surroundings
from fastbp.kernels.machine.fields import words_at
from fastbp.kernels.machine.jit import INT, inline_early, kernel
from fastbp.kernels.machine.pointers import (
    address_of,
    call_c,
    compare_exchange,
    exchange,
    fetch_add,
    load_acquire,
    load_ordered,
    spin_pause,
    stack_array,
    store_release,
)

PLACES = 512
LINES = 16  # words: processors fetch lines in pairs
# Words of the pool's record: how many members it has, how many may stay, the places that were ever
# in use, until when the cores count as crowded; the functions of the system.
MEMBERS, STAYING, USED, CROWDED, PARKING, SURROUNDINGS = 0, 1, 2, 3, LINES, LINES + 8
# Words of a place: the state, whether its member sleeps, what it is to do, its thread, the core on
# which it waits, whether it is to go to another one; the bed.
STATE, SLEEPING, KERNEL, PROGRAM, ME, LEADER, CORES, THREAD, CORE, MOVES, BED = *range(10), LINES
RECORD = 2 * LINES
# States. Taken by a leader, it is an address of his: a member waits while it is IDLE or above.
FREE, WORKING, CALLED, DISMISSED, IDLE = 0, 1, 2, 3, 4
# Words of a leader, on his stack: how many members are still at work; his surroundings, and as many
# words for the cores of others.
LEFT, AROUND = 0, LINES

SPINS = 100  # looks at the state with a pause, before the core is offered
AWAKE = 150_000  # nanoseconds of offers before the member sleeps
PAUSES = 50  # looks of a leader at who is left, before he offers the core
LOST, PART = 50_000, 8  # nanoseconds without a core, and this part of those with one, make a crowd
MEMORY = 300_000_000  # nanoseconds that this is remembered

_leader = stack_array(AROUND + 2 * surroundings.WORDS)


@inline_early
def _place_at(pool, number):
    return pool + 8 * RECORD * (1 + number)


@kernel(INT, INT, INT, returns=INT)
def enter(pool, wanted, thread):
    """Become an idle member: the address of the place, 0 if there is none.

    wanted: not 0 for a team that is short of members, which may then be more than may stay; thread:
    the system's number for the calling one.
    """
    members = pool + 8 * MEMBERS
    count = load_ordered(members)
    while True:
        if wanted == 0 and count >= load_ordered(pool + 8 * STAYING):
            return 0
        found = compare_exchange(members, count, count + 1)
        if found == count:
            break
        count = found
    for number in range(PLACES):
        place = _place_at(pool, number)
        state = place + 8 * STATE
        if load_acquire(state) == FREE and compare_exchange(state, FREE, WORKING) == FREE:
            # A leader reads both as soon as this one is idle, though it does not wait yet.
            words_at(place)[THREAD] = thread
            store_release(place + 8 * CORE, surroundings.core(pool + 8 * SURROUNDINGS))
            exchange(state, IDLE)
            used = load_ordered(pool + 8 * USED)
            while used <= number:
                used = compare_exchange(pool + 8 * USED, used, number + 1)
            return place
    fetch_add(members, -1)
    return 0


@kernel(INT, INT, returns=INT)
def serve(pool, place):
    """Work for teams, until called to do something else (1) or not needed any more (0)."""
    cores = 0  # unknown
    while True:
        _wait(pool, place)
        state = load_ordered(place + 8 * STATE)
        if state != WORKING:
            fetch_add(pool + 8 * MEMBERS, -1)
            exchange(place + 8 * STATE, FREE)
            return 1 if state == CALLED else 0
        order = words_at(place)
        leader, around = order[LEADER], pool + 8 * SURROUNDINGS
        if order[MOVES] != 0:
            cores = 0  # others than those of before
        cores = surroundings.move_to(around, leader + 8 * AROUND, order[CORES], cores)
        _run(pool, order[KERNEL], order[PROGRAM], order[ME])
        leaves = _is_one_too_many(pool)
        exchange(place + 8 * STATE, FREE if leaves else IDLE)
        # Now others may take this one, or its place; the leader may go with the last.
        fetch_add(leader + 8 * LEFT, -1)
        if leaves:
            return 0
        if load_ordered(pool + 8 * STAYING) == 0:  # closed meanwhile, which looked at idle ones
            compare_exchange(place + 8 * STATE, IDLE, DISMISSED)


@inline_early
def _wait(pool, place):
    """Until there is something to do."""
    state, calls, around = place + 8 * STATE, pool + 8 * PARKING, pool + 8 * SURROUNDINGS
    looks, since = 0, 0
    store_release(place + 8 * CORE, surroundings.core(around))
    while load_acquire(state) >= IDLE:
        looks += 1
        if looks < SPINS:
            spin_pause()
        elif looks == SPINS:
            since = parking.nanoseconds(calls)
        elif parking.nanoseconds(calls) - since < AWAKE:
            call_c(load_acquire(calls + 8 * parking.YIELD), ())
            store_release(place + 8 * CORE, surroundings.core(around))
        else:
            bed, sleeping = place + 8 * BED, place + 8 * SLEEPING
            parking.sleep(calls, bed, sleeping, state, DISMISSED)


@inline_early
def _run(pool, run, program, me):
    """Run the function, and note whether others had this thread's core meanwhile."""
    calls = pool + 8 * PARKING
    start, worked = parking.nanoseconds(calls), parking.nanoseconds_at_work(calls)
    call_c(run, (program, me))
    worked, end = parking.nanoseconds_at_work(calls) - worked, parking.nanoseconds(calls)
    if end - start - worked > max(LOST, worked // PART):
        store_release(pool + 8 * CROWDED, end + MEMORY)


@inline_early
def _is_one_too_many(pool):
    """Whether there are more members than may stay; then there is one fewer now."""
    members = pool + 8 * MEMBERS
    count = load_ordered(members)
    leaves = False
    while not leaves and count > load_ordered(pool + 8 * STAYING):
        found = compare_exchange(members, count, count - 1)
        leaves = found == count
        count = found
    return leaves


@kernel(INT, INT, INT, INT, returns=INT)
def lead(pool, run, program, team):
    """Run the function at `run`, as one of C's, with `program` and each member's number.

    Returns 0 when all have come to the end, or how many members are lacking: then none has begun.
    """
    words = _leader(words_at(pool))
    me = address_of(words)
    used = load_ordered(pool + 8 * USED)
    lacking = team - 1
    for number in range(used):
        state = _place_at(pool, number) + 8 * STATE
        if (
            lacking > 0
            and load_acquire(state) == IDLE
            and compare_exchange(state, IDLE, me) == IDLE
        ):
            lacking -= 1
    around = pool + 8 * SURROUNDINGS
    cores = surroundings.look_around(around, me + 8 * AROUND)
    store_release(me + 8 * LEFT, team - 1)
    if cores != 0 and lacking == 0:
        _spread(pool, used, me)
    member = 0
    for number in range(used):
        place = _place_at(pool, number)
        if load_acquire(place + 8 * STATE) == me:
            if lacking > 0:
                exchange(place + 8 * STATE, IDLE)
            else:
                member += 1
                order = words_at(place)
                order[KERNEL], order[PROGRAM], order[ME] = run, program, member
                order[LEADER], order[CORES] = me, cores
                if order[MOVES] != 0:  # until it is WORKING
                    surroundings.move_off(around, me + 8 * AROUND, order[THREAD])
                exchange(place + 8 * STATE, WORKING)
                parking.wake(pool + 8 * PARKING, place + 8 * BED, place + 8 * SLEEPING)
    if lacking == 0:
        _run(pool, run, program, 0)
        looks = 0
        while load_acquire(me + 8 * LEFT) > 0:
            looks += 1
            if looks < PAUSES:
                spin_pause()
            else:
                call_c(load_acquire(pool + 8 * (PARKING + parking.YIELD)), ())
    return lacking


@inline_early
def _spread(pool, used, me):
    """Note which members of a leader's team go to other cores, and which cores are left for them.

    Those go who sleep, and would wake where their waker is, and who share a core with another one.
    """
    here = me + 8 * AROUND
    surroundings.look_for_others(pool + 8 * SURROUNDINGS, here)
    for number in range(used):
        place = _place_at(pool, number)
        if load_acquire(place + 8 * STATE) == me:
            sleeps = load_ordered(place + 8 * SLEEPING) != 0
            stays = not sleeps and surroundings.claim(here, load_acquire(place + 8 * CORE))
            words_at(place)[MOVES] = 0 if stays else 1


@kernel(INT, INT, returns=INT)
def summon(pool, state):
    """Bring an idle member into a state, CALLED or DISMISSED; returns whether there was one."""
    if state == DISMISSED:
        exchange(pool + 8 * STAYING, 0)
    for number in range(load_ordered(pool + 8 * USED)):
        place = _place_at(pool, number)
        word = place + 8 * STATE
        if load_acquire(word) == IDLE and compare_exchange(word, IDLE, state) == IDLE:
            parking.wake(pool + 8 * PARKING, place + 8 * BED, place + 8 * SLEEPING)
            return 1
    return 0
