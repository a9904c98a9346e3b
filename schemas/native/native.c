/* The hot path in C: records out of a Kafka batch, Avro records to columns, names to rows, numbers
 * to buckets.
 *
 * Code that reads foreign bytes trusts no length: a read that would leave its input returns 0, and
 * the caller decodes the record in Python, which reports why it is bad. Nothing here allocates,
 * keeps state or calls Python. Where a function succeeds, Python would have given the same result
 * (tests/schemas/test_native.py).
 */

#include <stdint.h>
#include <string.h>

#define ABI 6

#define PREFIX_BYTES 5
#define MAX_LEVELS 64
#define NONE (-1)

/* As in streams/records/cutting.py, which decides what happens to a record with more. */
#define MAX_HEADERS 1000
#define MAX_BATCH_HEADERS 500000

int64_t sentinel_abi(void) { return ABI; }

/* ---- Reading ---- */

typedef struct {
    const uint8_t *at, *end;
} Cursor;

static int varint(Cursor *cursor, uint64_t *value) {
    uint64_t read = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (cursor->at == cursor->end) return 0;
        uint64_t byte = *cursor->at++;
        if (shift == 63 && byte > 1) return 0;
        read |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = read;
            return 1;
        }
    }
    return 0;
}

/* A zigzag number, which Kafka and Avro encode alike. Small ones are one byte: the fast path. */
static inline int number(Cursor *cursor, int64_t *value) {
    uint64_t read;
    if (cursor->at != cursor->end && *cursor->at < 0x80)
        read = *cursor->at++;
    else if (!varint(cursor, &read))
        return 0;
    *value = (int64_t)(read >> 1) ^ -(int64_t)(read & 1);
    return 1;
}

static inline int skip(Cursor *cursor, int64_t bytes) {
    if (bytes < 0 || bytes > cursor->end - cursor->at) return 0;
    cursor->at += bytes;
    return 1;
}

/* Well-formed UTF-8 (Unicode 16, table 3-7), which is what Rust and Python accept. */
static int utf8(const uint8_t *at, int64_t size) {
    const uint8_t *end = at + size;
    while (end - at >= 8) {
        uint64_t word;
        /* Eight ASCII characters at a time: none of them has its top bit set. */
        memcpy(&word, at, 8);
        if (word & UINT64_C(0x8080808080808080)) break;
        at += 8;
    }
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more) return 0;
        uint8_t second = *at;
        /* Overlong forms, surrogates, and what is above U+10FFFF. */
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
            return 0;
        for (; more; more--)
            if ((*at++ & 0xc0) != 0x80) return 0;
    }
    return 1;
}

/* ---- Records of a Kafka batch ---- */

static int begins(const uint8_t *at, int64_t size, const char *with) {
    int64_t length = (int64_t)strlen(with);
    return size >= length && memcmp(at, with, (size_t)length) == 0;
}

/* Whether none of a record's headers is for Sentinel; tracing headers, for example, are not. They
 * must fill the rest of the record. Other names may be any bytes: some clients do not write UTF-8.
 * Adds the number of headers to `all`. */
static int foreign_headers(Cursor *record, int64_t *all) {
    int64_t headers, name, value;
    if (!number(record, &headers) || headers < 0 || headers > MAX_HEADERS) return 0;
    *all += headers;
    for (; headers; headers--) {
        if (!number(record, &name)) return 0;
        const uint8_t *at = record->at;
        if (!skip(record, name)) return 0;
        if (begins(at, name, "sentinel-") || begins(at, name, "__value_schema_id")) return 0;
        if (!number(record, &value) || (value != -1 && !skip(record, value))) return 0;
    }
    return record->at == record->end;
}

/* Finds the values of the `count` records of a batch; decompressed, they fill `size` bytes at
 * `data`.
 *
 * `found` has four rows of `count` words: addresses of the values, their sizes, and the differences
 * of offset and time from the batch's first. If there are as many records as offsets, up to `last`,
 * they are numbered in order and a record's own offset is ignored: brokers do not check it. Returns
 * 1 if every record is plain: complete, with a value, without headers for Sentinel or too many
 * headers, at an ascending offset within the batch. Otherwise returns 0.
 */
int64_t sentinel_split(const uint8_t *data, int64_t size, int64_t count, int64_t last,
                       int64_t *found) {
    int64_t *addresses = found, *sizes = found + count, *offsets = found + 2 * count,
            *times = found + 3 * count;
    Cursor batch = {data, data + size};
    int64_t before = -1, headers = 0;
    for (int64_t row = 0; row < count; row++) {
        int64_t length, key, value;
        if (!number(&batch, &length) || length < 0 || length > batch.end - batch.at) return 0;
        Cursor record = {batch.at, batch.at + length};
        batch.at = record.end;
        /* The attributes, which no version of Kafka uses yet. */
        if (!skip(&record, 1)) return 0;
        if (!number(&record, &times[row]) || !number(&record, &offsets[row])) return 0;
        if (!number(&record, &key) || (key != -1 && !skip(&record, key))) return 0;
        if (!number(&record, &value) || value < 0) return 0;
        addresses[row] = (int64_t)(intptr_t)record.at;
        sizes[row] = value;
        if (!skip(&record, value) || !foreign_headers(&record, &headers)) return 0;
        if (headers > MAX_BATCH_HEADERS) return 0;
        if (count == last + 1)
            offsets[row] = row;
        else if (offsets[row] <= before || offsets[row] > last)
            return 0;
        before = offsets[row];
    }
    return batch.at == batch.end;
}

/* ---- Avro to columns ---- */

/* Operations of a compiled schema (schemas/telemetry/programs.py), in the order of the bytes, each
 * with the words that follow its number. */
enum {
    LONG = 1,     /* slot, minimum, maximum */
    TEXT = 2,     /* slot, minimum size, maximum size, whether it must be UTF-8 */
    DOUBLE = 3,   /* whether it must be finite */
    FIXED = 4,    /* size */
    BOOLEAN = 5,  /* nothing */
    NULLABLE = 6, /* branch of null, slot of a number or -1, of a text or -1, words of the value */
    ARRAY = 7,    /* minimum size of an item, words of an item */
};

/* Verdicts on a record. */
enum {
    UNSURE = 0,      /* complete but out of bounds, or of an unknown schema: Python decides */
    GOOD = 1,        /* as its schema says, within all bounds */
    UNDECODABLE = 2, /* not of its schema */
    TRAILING = 3,    /* bytes are left after it */
};

typedef struct {
    int64_t row, stride;
    int64_t *numbers, *texts, *sizes;
} Columns;

/* Whether all values are within their bounds, and all texts that must be UTF-8 are. */
typedef struct {
    int bounded, readable;
} Doubts;

/* Decodes bytes by a program; returns whether they fit it. The time depends on the bytes that are
 * there, never on a count that they claim. */
static int run(const int64_t *op, const int64_t *stop, Cursor *cursor, const Columns *columns,
               Doubts *doubts, int levels) {
    while (op < stop) {
        int64_t value;
        switch (op[0]) {
        case LONG:
            if (!number(cursor, &value)) return 0;
            doubts->bounded &= value >= op[2] && value <= op[3];
            if (op[1] >= 0) columns->numbers[op[1] * columns->stride + columns->row] = value;
            op += 4;
            break;
        case TEXT:
            if (!number(cursor, &value) || value < 0 || value > cursor->end - cursor->at) return 0;
            doubts->bounded &= value >= op[2] && value <= op[3];
            doubts->readable &= !op[4] || utf8(cursor->at, value);
            if (op[1] >= 0) {
                columns->texts[op[1] * columns->stride + columns->row] =
                    (int64_t)(intptr_t)cursor->at;
                columns->sizes[op[1] * columns->stride + columns->row] = value;
            }
            cursor->at += value;
            op += 5;
            break;
        case DOUBLE: {
            uint64_t bits;
            if (cursor->end - cursor->at < 8) return 0;
            memcpy(&bits, cursor->at, 8);
            doubts->bounded &= !op[1] || (bits >> 52 & 0x7ff) != 0x7ff;
            cursor->at += 8;
            op += 2;
            break;
        }
        case FIXED:
            if (!skip(cursor, op[1])) return 0;
            op += 2;
            break;
        case BOOLEAN:
            if (cursor->at == cursor->end) return 0;
            doubts->bounded &= *cursor->at++ <= 1;
            op += 1;
            break;
        case NULLABLE:
            if (!number(cursor, &value)) return 0;
            doubts->bounded &= value == 0 || value == 1;
            /* An unknown branch is read as the second one, as polars does. */
            if ((value != 0) == op[1]) {
                if (op[2] >= 0) columns->numbers[op[2] * columns->stride + columns->row] = NONE;
                if (op[3] >= 0) {
                    columns->texts[op[3] * columns->stride + columns->row] = 0;
                    columns->sizes[op[3] * columns->stride + columns->row] = NONE;
                }
                op += 5 + op[4];
            } else {
                op += 5;
            }
            break;
        case ARRAY:
            if (levels == 0) return 0;
            for (;;) {
                int64_t bytes;
                if (!number(cursor, &value)) return 0;
                if (value == 0) break;
                /* A negative count is followed by the size of its items in bytes, which serves only
                 * to skip them (Avro 1.12, arrays). */
                if (value < 0 && (value == INT64_MIN || !number(cursor, &bytes))) return 0;
                if (value < 0) value = -value;
                if (value > (cursor->end - cursor->at) / op[1]) return 0;
                for (; value; value--)
                    if (!run(op + 3, op + 3 + op[2], cursor, columns, doubts, levels - 1)) return 0;
            }
            op += 3 + op[2];
            break;
        default:
            return 0;
        }
    }
    return 1;
}

/* Decodes `count` framed records to columns of `count` rows.
 *
 * `ids` are the known schemas; `programs` has the first word of each one's program, and the end of
 * the last. A null number is -1, a null text has size -1. A verdict is GOOD if the whole record is
 * one of its schema, has at most `most` bytes, and all values are within their bounds. The content
 * of the columns is undefined for all other records. Returns the number of good records.
 */
int64_t sentinel_decode(int64_t count, const int64_t *addresses, const int64_t *value_sizes,
                        int64_t most, int64_t schemas, const int64_t *ids, const int64_t *programs,
                        const int64_t *words, int64_t *numbers, int64_t *texts, int64_t *sizes,
                        uint8_t *verdicts) {
    int64_t all = 0;
    for (int64_t row = 0; row < count; row++) {
        const uint8_t *value = (const uint8_t *)(intptr_t)addresses[row];
        int64_t size = value_sizes[row], schema = 0;
        verdicts[row] = UNSURE;
        if (size < PREFIX_BYTES || size > most || value[0] != 0) continue;
        int64_t id =
            (int64_t)value[1] << 24 | (int64_t)value[2] << 16 | (int64_t)value[3] << 8 | value[4];
        while (schema < schemas && ids[schema] != id) schema++;
        if (schema == schemas) continue;
        Cursor cursor = {value + PREFIX_BYTES, value + size};
        Columns columns = {row, count, numbers, texts, sizes};
        Doubts doubts = {1, 1};
        const int64_t *program = words + programs[schema], *stop = words + programs[schema + 1];
        if (!run(program, stop, &cursor, &columns, &doubts, MAX_LEVELS))
            verdicts[row] = UNDECODABLE;
        else if (cursor.at != cursor.end)
            verdicts[row] = TRAILING;
        else if (!doubts.readable)
            verdicts[row] = UNDECODABLE;
        else if (doubts.bounded) {
            verdicts[row] = GOOD;
            all++;
        }
    }
    return all;
}

/* ---- Names to rows ---- */

static inline uint64_t rotated(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotated(v[1], 13) ^ v[0], v[0] = rotated(v[0], 32);
    v[2] += v[3], v[3] = rotated(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotated(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotated(v[1], 17) ^ v[2], v[2] = rotated(v[2], 32);
}

/* The next bytes of a text as one word. `left` bytes remain, at least one; fewer than eight are
 * read without a memcpy of variable size, which would be a call for the end of each name. */
static inline uint64_t next_word(const uint8_t *at, int64_t left) {
    uint64_t word = 0;
    uint32_t first, last;
    if (left >= 8) {
        memcpy(&word, at, 8);
    } else if (left >= 4) {
        /* Two reads of four bytes, which overlap if there are fewer than eight. */
        memcpy(&first, at, 4);
        memcpy(&last, at + left - 4, 4);
        word = first | (uint64_t)last << 8 * (left - 4);
    } else {
        word = at[0] | (uint64_t)at[left / 2] << 8 * (left / 2) |
               (uint64_t)at[left - 1] << 8 * (left - 1);
    }
    return word;
}

/* SipHash-1-3 with 128 bits (Aumasson and Bernstein, 2012). Each part is preceded by its size, so
 * that different names with the same number of parts never give the same words. */
static void hashed(const int64_t *texts, const int64_t *sizes, int64_t stride, int64_t parts,
                   const int64_t *places, uint64_t seed, uint64_t out[2]) {
    uint64_t v[4] = {UINT64_C(0x736f6d6570736575) ^ seed,
                     UINT64_C(0x646f72616e646f6d) ^ ~seed ^ 0xee,
                     UINT64_C(0x6c7967656e657261) ^ seed, UINT64_C(0x7465646279746573) ^ ~seed};
    for (int64_t part = 0; part < parts; part++) {
        const uint8_t *at = (const uint8_t *)(intptr_t)texts[places[part] * stride];
        int64_t left = sizes[places[part] * stride];
        uint64_t word = (uint64_t)left;
        for (;;) {
            v[3] ^= word;
            sip_round(v);
            v[0] ^= word;
            if (left <= 0) break;
            word = next_word(at, left);
            at += 8, left -= 8;
        }
    }
    v[2] ^= 0xee;
    for (int round = 0; round < 3; round++) sip_round(v);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    for (int round = 0; round < 3; round++) sip_round(v);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The two hashes of each of `count` names. Part p of name n is at places[p] * stride + n of `texts`
 * and `sizes`. */
void sentinel_hash(int64_t count, int64_t stride, int64_t parts, const int64_t *places,
                   const int64_t *texts, const int64_t *sizes, uint64_t seed, uint64_t *first,
                   uint64_t *second) {
    for (int64_t row = 0; row < count; row++) {
        uint64_t both[2];
        hashed(texts + row, sizes + row, stride, parts, places, seed, both);
        first[row] = both[0], second[row] = both[1];
    }
}

/* Finds rows by their hashes in a table with open addressing. `slots` holds `mask` + 1 rows, a
 * power of two, with -1 for an empty slot; `known` has the first hash of each row and, `capacity`
 * words later, the second. A pair that is not found gives -1.
 */
void sentinel_find(int64_t count, const uint64_t *first, const uint64_t *second,
                   const uint64_t *known, int64_t capacity, const int64_t *slots, int64_t mask,
                   int64_t *rows) {
    for (int64_t index = 0; index < count; index++) {
        int64_t at = (int64_t)(first[index] & (uint64_t)mask), row;
        while ((row = slots[at]) >= 0 &&
               (known[row] != first[index] || known[capacity + row] != second[index]))
            at = (at + 1) & mask;
        rows[index] = row;
    }
}

/* ---- Counting ---- */

/* Counts `count` events into the rows of a bucket (streams/state/windows.py). A row has `words`
 * words of 64 bits; its numbers begin at word 2.
 *
 * Column c starts at columns[c]; steps[c] words later is the next event's value, 0 for a column
 * that is the same for all events. The first `sums` columns are added, the next `maxima` keep the
 * highest value; of the next `logs` positive values are counted, and their logarithms and the
 * squares of these added (streams/state/logarithms.py): three numbers each. Each of the last
 * `sketches` increments the bin of its value. A negative value means that the event has none: it is
 * in no bin, and is not added to a sum that is `clamped`. The `bins` 32-bit bins of each sketch
 * follow all numbers.
 */
void sentinel_count(int64_t count, const int64_t *rows, int64_t *table, int64_t words, int64_t sums,
                    int64_t maxima, int64_t logs, int64_t sketches, const int64_t *const *columns,
                    const int64_t *steps, const int64_t *clamped, const int64_t *mantissas,
                    int64_t bins, int64_t shift, int64_t offset) {
    for (int64_t event = 0; event < count; event++) {
        int64_t *numbers = table + rows[event] * words + 2, *log = numbers + sums + maxima;
        uint32_t *counts = (uint32_t *)(log + 3 * logs);
        int64_t column = 0;
        for (; column < sums; column++) {
            int64_t value = columns[column][event * steps[column]];
            if (!clamped[column] || value > 0)
                /* Unsigned: overflow of a signed sum would be undefined. */
                numbers[column] = (int64_t)((uint64_t)numbers[column] + (uint64_t)value);
        }
        for (; column < sums + maxima; column++) {
            int64_t value = columns[column][event * steps[column]];
            if (value > numbers[column]) numbers[column] = value;
        }
        for (; column < sums + maxima + logs; column++, log += 3) {
            int64_t value = columns[column][event * steps[column]], bits;
            double number = (double)value;
            if (value <= 0) continue;
            /* log2 in 1/1024: the exponent, and the first ten bits of the mantissa by a table. */
            memcpy(&bits, &number, sizeof bits);
            bits >>= 42;
            bits = ((bits >> 10) - 1023) * 1024 + mantissas[bits & 1023];
            log[0]++;
            log[1] += bits;
            log[2] += bits * bits;
        }
        for (; column < sums + maxima + logs + sketches; column++, counts += bins) {
            int64_t value = columns[column][event * steps[column]], bin;
            double number = (double)value;
            if (value < 0) continue;
            /* The exponent and the first bits of the mantissa: bins of equal relative width. */
            memcpy(&bin, &number, sizeof bin);
            bin = (bin >> shift) - offset;
            counts[bin < 0 ? 0 : bin < bins ? bin : bins - 1]++;
        }
    }
}
