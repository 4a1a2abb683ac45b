/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table in all ranks' memory. Each rank counts words of a text of its own: a slot
 * is taken by compare_and_swap, counted by fetch_and_op, and what finds no slot nearby
 * goes to a list of the target's under its lock. At the end the counts are those of all
 * texts.
 */
#include <mpi.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS  48 /* of each rank */
#define PROBES 4
#define LIST   512 /* elements that found no slot */
#define WORDS  120 /* different ones per rank in the table, on average */
#define TEXT   200 /* of each rank */

/* Words are numbers from 1 on; 0: none. */
struct entry {
    int64_t word;
    int64_t count;
};

struct table {
    struct entry slots[SLOTS];
    int64_t length;
    struct entry list[LIST];
};

static MPI_Win win;
static int rank, ranks;

static uint64_t mix(uint64_t word)
{
    word ^= word >> 31;
    word *= UINT64_C(0x9e3779b97f4a7c15);
    return word ^ word >> 29;
}

/* The n-th word of a rank's text; small ones are frequent. */
static int64_t word_of(int who, int n)
{
    int64_t different = (int64_t)WORDS * ranks;
    int64_t r = (int64_t)(mix((uint64_t)who * TEXT + (uint64_t)n) % (uint64_t)different);

    return 1 + r * r / different;
}

static MPI_Aint slot_at(uint64_t slot)
{
    return (MPI_Aint)(offsetof(struct table, slots) + slot * sizeof(struct entry));
}

/* Count it in the list at the target, whose lock makes that one step. */
static void count_in_list(int target, int64_t word)
{
    int64_t length;
    struct entry list[LIST];
    int i;

    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, target, 0, win);
    MPI_Get(&length, 1, MPI_INT64_T, target, offsetof(struct table, length), 1,
            MPI_INT64_T, win);
    MPI_Get(list, 2 * LIST, MPI_INT64_T, target, offsetof(struct table, list), 2 * LIST,
            MPI_INT64_T, win);
    MPI_Win_flush(target, win);
    for (i = 0; i < length && list[i].word != word;)
        i++;
    if (i == LIST)
        MPI_Abort(MPI_COMM_WORLD, 3);
    list[i].count = i < length ? list[i].count + 1 : 1;
    list[i].word = word;
    length += i == length;
    MPI_Put(&list[i], 2, MPI_INT64_T, target,
            (MPI_Aint)(offsetof(struct table, list) + (size_t)i * sizeof(list[0])), 2,
            MPI_INT64_T, win);
    MPI_Put(&length, 1, MPI_INT64_T, target, offsetof(struct table, length), 1,
            MPI_INT64_T, win);
    MPI_Win_unlock(target, win);
}

/* Whether a slot near the word's place takes it. */
static int count_in_slot(int target, uint64_t place, int64_t word)
{
    const int64_t none = 0, one = 1;
    int64_t found, old;
    MPI_Aint at;

    for (uint64_t i = 0; i < PROBES; i++) {
        at = slot_at((place + i) % SLOTS);
        MPI_Compare_and_swap(&word, &none, &found, MPI_INT64_T, target, at, win);
        MPI_Win_flush(target, win);
        if (found != 0 && found != word)
            continue;
        MPI_Fetch_and_op(&one, &old, MPI_INT64_T, target,
                         at + (MPI_Aint)offsetof(struct entry, count), MPI_SUM, win);
        MPI_Win_flush(target, win);
        return 1;
    }
    return 0;
}

static void count(int64_t word)
{
    uint64_t hash = mix((uint64_t)word);
    int target = (int)(hash % (uint64_t)ranks), taken;

    MPI_Win_lock(MPI_LOCK_SHARED, target, 0, win);
    taken = count_in_slot(target, hash / (uint64_t)ranks, word);
    MPI_Win_unlock(target, win);
    if (!taken)
        count_in_list(target, word);
}

static int check_entry(const struct entry *entry, int64_t *expected)
{
    int wrong;

    if (entry->word == 0)
        return entry->count != 0;
    if (entry->word < 0 || entry->word > (int64_t)WORDS * ranks)
        return 1;
    wrong = expected[entry->word] != entry->count;
    expected[entry->word] = 0; /* and no second time */
    return wrong;
}

/* What the caller's part holds, is right; the sum of all, nobody misses. */
static int check(const struct table *table)
{
    int64_t *expected = calloc((size_t)(WORDS * ranks + 1), sizeof(int64_t)), all = 0;
    int wrong = 0;

    for (int i = 0; i < ranks; i++)
        for (int n = 0; n < TEXT; n++)
            expected[word_of(i, n)]++;
    for (int i = 0; i < SLOTS; i++) {
        all += table->slots[i].count;
        wrong += check_entry(&table->slots[i], expected);
    }
    for (int i = 0; i < table->length; i++) {
        all += table->list[i].count;
        wrong += check_entry(&table->list[i], expected);
    }
    free(expected);
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    return wrong + (all != (int64_t)TEXT * ranks);
}

int main(int argc, char **argv)
{
    struct table *table;
    int wrong, all;
    int64_t listed;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Win_allocate((sizeof(*table) + 63) / 64 * 64, 1, MPI_INFO_NULL, MPI_COMM_WORLD,
                     &table, &win);
    *table = (struct table){.length = 0};
    MPI_Barrier(MPI_COMM_WORLD);
    for (int n = 0; n < TEXT; n++)
        count(word_of(rank, n));
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win);
    wrong = check(table);
    listed = table->length;
    MPI_Win_unlock(rank, win);
    MPI_Allreduce(MPI_IN_PLACE, &listed, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    wrong += listed == 0; /* then lists were not tried */
    MPI_Reduce(&wrong, &all, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("hash: %d words counted, %lld in lists, %d entries wrong\n", TEXT * ranks,
               (long long)listed, all);
    MPI_Win_free(&win);
    fflush(stdout);
    MPI_Finalize();
    return wrong ? 1 : 0;
}
