/* Runs the native code on random programs, records and batches. Compiled with sanitizers, which end
 * the process at the first byte read or written that is not its own, and at the first operation
 * that C leaves undefined. Whatever is foreign lies in memory of exactly its size.
 *
 *     native_harness SEED RUNS        prints how many records were good, and how many batches plain
 */

#include <stdio.h>
#include <stdlib.h>

#include "native.c"

static uint64_t state;

static uint64_t rnd(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static int64_t below(int64_t bound) { return (int64_t)(rnd() % (uint64_t)bound); }

/* A number that is an edge of something, more often than not. */
static int64_t edge(void) {
    static const int64_t edges[] = {
        0,         1,         -1,        2,         63,
        64,        127,       128,       8191,      8192,
        INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_C(1) << 40,
        -(INT64_C(1) << 40),  INT64_MAX - 7,        INT64_MIN + 7};
    return below(2)   ? edges[below(sizeof edges / sizeof *edges)]
           : below(3) ? below(9)
                      : (int64_t)rnd();
}

typedef struct {
    uint8_t bytes[4096];
    int64_t size;
} Bytes;

static void put(Bytes *out, uint8_t byte) {
    if (out->size < (int64_t)sizeof out->bytes) out->bytes[out->size++] = byte;
}

static void put_number(Bytes *out, int64_t value) {
    uint64_t left = ((uint64_t)value << 1) ^ (uint64_t)-(value < 0);
    for (; left > 0x7f; left >>= 7) put(out, (uint8_t)(left | 0x80));
    put(out, (uint8_t)left);
}

static void put_text(Bytes *out) {
    static const char *parts[] = {
        "a", "\xc3\xbc", "\xf0\x9f\x98\x80", "\xff", "\xed\xa0\x80", "sentinel-", "abcdefgh"};
    Bytes text = {{0}, 0};
    for (int64_t count = below(5); count; count--)
        for (const char *at = parts[below(7)]; *at; at++) put(&text, (uint8_t)*at);
    put_number(out, below(40) ? text.size : edge());
    for (int64_t at = 0; at < text.size; at++) put(out, text.bytes[at]);
}

#define SLOTS 3
#define WORDS 512

typedef struct {
    int64_t words[WORDS];
    int64_t size;
} Program;

static int64_t slot(void) { return below(SLOTS + 1) - 1; }

/* One operation, and bytes that suit it. The answer is the fewest bytes that it takes. */
static int64_t operation(Program *program, Bytes *out, int levels) {
    int64_t *op = program->words + program->size;
    switch (levels ? 1 + below(7) : 1 + below(5)) {
    case LONG:
        memcpy(op, (int64_t[]){LONG, slot(), below(2) ? INT64_MIN : 0, below(2) ? INT64_MAX : 100},
               32);
        program->size += 4;
        put_number(out, edge());
        return 1;
    case TEXT:
        memcpy(op, (int64_t[]){TEXT, slot(), below(2), below(2) ? INT64_MAX : 9, below(2)}, 40);
        program->size += 5;
        put_text(out);
        return 1;
    case DOUBLE:
        memcpy(op, (int64_t[]){DOUBLE, below(2)}, 16);
        program->size += 2;
        for (int at = 0; at < 8; at++) put(out, below(2) ? 0xff : (uint8_t)rnd());
        return 8;
    case FIXED: {
        int64_t size = 1 + below(9);
        memcpy(op, (int64_t[]){FIXED, size}, 16);
        program->size += 2;
        for (int64_t at = 0; at < size; at++) put(out, (uint8_t)rnd());
        return size;
    }
    case BOOLEAN:
        *op = BOOLEAN;
        program->size += 1;
        put(out, (uint8_t)below(3));
        return 1;
    case NULLABLE: {
        Bytes inner = {{0}, 0};
        int64_t null = below(2), branch = below(20) ? below(2) : edge();
        program->size += 5;
        operation(program, &inner, levels - 1);
        memcpy(
            op,
            (int64_t[]){NULLABLE, null, slot(), slot(), program->size - (op - program->words) - 5},
            40);
        put_number(out, branch);
        for (int64_t at = 0; (branch != 0) != null && at < inner.size; at++)
            put(out, inner.bytes[at]);
        return 1;
    }
    default: {
        Bytes inner = {{0}, 0};
        int64_t count = below(4);
        program->size += 3;
        int64_t least = operation(program, &inner, levels - 1);
        memcpy(op, (int64_t[]){ARRAY, least, program->size - (op - program->words) - 3}, 24);
        for (; count; count--) {
            put_number(out, below(9) ? 1 : edge());
            for (int64_t at = 0; at < inner.size; at++) put(out, inner.bytes[at]);
        }
        put_number(out, below(30) ? 0 : edge());
        return 1;
    }
    }
}

static void mangle(Bytes *bytes) {
    for (int64_t changes = below(4); changes > 1 && bytes->size; changes--)
        bytes->bytes[below(bytes->size)] =
            below(2) ? (uint8_t)rnd() : (uint8_t[]){0, 1, 2, 0x7f, 0x80, 0xff}[below(6)];
    if (bytes->size && !below(4)) bytes->size = below(bytes->size + 1);
}

/* In memory of its own size. */
static uint8_t *own(const Bytes *bytes) {
    uint8_t *copy = malloc((size_t)(bytes->size ? bytes->size : 1));
    if (!copy) abort();
    memcpy(copy, bytes->bytes, (size_t)bytes->size);
    return copy;
}

static int64_t decode_some(void) {
    Program program = {{0}, 0};
    Bytes record = {{0}, 0};
    for (int at = 0; at < 4; at++) put(&record, 0);
    put(&record, below(50) ? 1 : 2);
    for (int64_t fields = 1 + below(6); fields && program.size < WORDS / 2; fields--)
        operation(&program, &record, 4);
    if (below(3)) mangle(&record);
    uint8_t *value = own(&record), verdict = 9;
    int64_t *words = malloc((size_t)program.size * 8);
    if (!words) abort();
    memcpy(words, program.words, (size_t)program.size * 8);
    int64_t ids[] = {1}, starts[] = {0, program.size}, address = (int64_t)(intptr_t)value;
    int64_t numbers[SLOTS] = {0}, texts[SLOTS] = {0}, sizes[SLOTS];
    for (int at = 0; at < SLOTS; at++) sizes[at] = NONE;
    int64_t good = sentinel_decode(1, &address, &record.size, 4096, 1, ids, starts, words, numbers,
                                   texts, sizes, &verdict);
    if (good != (verdict == GOOD) || verdict > TRAILING) abort();
    if (good) {
        int64_t places[] = {0, 1, 2};
        uint64_t first, second;
        sentinel_hash(1, 1, SLOTS, places, texts, sizes, 7, &first, &second);
    }
    free(words), free(value);
    return good;
}

static int64_t split_some(void) {
    Bytes batch = {{0}, 0};
    int64_t count = 1 + below(4);
    for (int64_t row = 0; row < count; row++) {
        Bytes record = {{0}, 0};
        put(&record, (uint8_t)rnd());
        put_number(&record, below(2) ? 0 : edge());
        put_number(&record, below(4) ? row : edge());
        below(3) ? put_text(&record) : put_number(&record, -1);
        below(30) ? put_text(&record) : put_number(&record, edge());
        int64_t headers = below(3);
        put_number(&record, below(20) ? headers : edge());
        for (; headers; headers--) put_text(&record), put_text(&record);
        put_number(&batch, below(30) ? record.size : edge());
        for (int64_t at = 0; at < record.size; at++) put(&batch, record.bytes[at]);
    }
    if (below(2)) mangle(&batch);
    if (count > batch.size) return 0;
    uint8_t *data = own(&batch);
    int64_t *found = malloc((size_t)count * 32), last = below(3) ? count - 1 : below(9);
    if (!found) abort();
    int64_t plain = sentinel_split(data, batch.size, count, last, found);
    for (int64_t row = 0; plain && row < count; row++) {
        const uint8_t *value = (const uint8_t *)(intptr_t)found[row];
        if (value < data || value + found[count + row] > data + batch.size) abort();
        if (found[2 * count + row] < 0 ||
            found[2 * count + row] > (count == last + 1 ? count - 1 : last))
            abort();
    }
    free(found), free(data);
    return plain;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    state = strtoull(words[1], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    int64_t good = 0, plain = 0;
    for (int64_t runs = strtoll(words[2], NULL, 10); runs; runs--)
        good += decode_some(), plain += split_some();
    printf("%lld %lld\n", (long long)good, (long long)plain);
    return 0;
}
