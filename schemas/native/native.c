/* The hot path in C: records out of a Kafka batch, Avro records to columns, names to rows, numbers to buckets.
 *
 * What reads foreign bytes believes no length: whatever would lie outside what it was given makes it say
 * no, and the caller decodes the slow way, which knows why. Nothing here allocates, keeps state or calls Python; a yes
 * means that the slow way would have said the same (tests/schemas/test_native.py).
 */

#include <stdint.h>
#include <string.h>

#define ABI 5

#define PREFIX_BYTES 5
#define MOST_LEVELS 64
#define NONE (-1)

/* As in streams/records/cutting.py, which is asked what becomes of more. */
#define MOST_HEADERS 1000
#define MOST_BATCH_HEADERS 500000

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

/* A zigzag number, as Kafka and Avro both write them. */
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

/* Well-formed UTF-8 (Unicode 16, table 3-7): what Rust and Python take. */
static int utf8(const uint8_t *at, int64_t size) {
    const uint8_t *end = at + size;
    while (end - at >= 8) {
        uint64_t word;
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
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
            (first == 0xf4 && second > 0x8f))
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

/* Whether a record's headers, which must fill what is left of it, say nothing to us: tracing's, for example. Names of
 * others may be any bytes; clients in some languages put no UTF-8 there. `all` grows by how many they are. */
static int foreign_headers(Cursor *record, int64_t *all) {
    int64_t headers, name, value;
    if (!number(record, &headers) || headers < 0 || headers > MOST_HEADERS) return 0;
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

/* Finds the values of `count` records, which fill `size` bytes from `data` on, a batch's records after decompression.
 *
 * `found` gets for each the address of its value, `count` words later its size, then how far its offset and its time are
 * from the batch's first. Where there are as many records as the batch has offsets, up to `last`, they are numbered in
 * order, and what a record itself says of its offset counts for nothing: brokers do not look at it. The answer is 1 when
 * every record is plain: whole, with a value, without headers that say something to us or are too many, at a rising
 * offset within the batch; 0 when any is not.
 */
int64_t sentinel_split(const uint8_t *data, int64_t size, int64_t count, int64_t last, int64_t *found) {
    int64_t *addresses = found, *sizes = found + count, *offsets = found + 2 * count, *times = found + 3 * count;
    Cursor batch = {data, data + size};
    int64_t before = -1, headers = 0;
    for (int64_t row = 0; row < count; row++) {
        int64_t length, key, value;
        if (!number(&batch, &length) || length < 0 || length > batch.end - batch.at) return 0;
        Cursor record = {batch.at, batch.at + length};
        batch.at = record.end;
        /* One byte of attributes, which mean nothing. */
        if (!skip(&record, 1)) return 0;
        if (!number(&record, &times[row]) || !number(&record, &offsets[row])) return 0;
        if (!number(&record, &key) || (key != -1 && !skip(&record, key))) return 0;
        if (!number(&record, &value) || value < 0) return 0;
        addresses[row] = (int64_t)(intptr_t)record.at;
        sizes[row] = value;
        if (!skip(&record, value) || !foreign_headers(&record, &headers)) return 0;
        if (headers > MOST_BATCH_HEADERS) return 0;
        if (count == last + 1)
            offsets[row] = row;
        else if (offsets[row] <= before || offsets[row] > last)
            return 0;
        before = offsets[row];
    }
    return batch.at == batch.end;
}

/* ---- Avro to columns ---- */

/* What a schema is made into (schemas/telemetry/programs.py): operations of some words each, in the order of the bytes. */
enum {
    LONG = 1,     /* slot, least, most */
    TEXT = 2,     /* slot, fewest bytes, most bytes, whether it must be UTF-8 */
    DOUBLE = 3,   /* whether it must be finite */
    FIXED = 4,    /* bytes */
    BOOLEAN = 5,  /* */
    NULLABLE = 6, /* branch of null, slot of a number or -1, slot of a text or -1, words of what follows */
    ARRAY = 7,    /* fewest bytes of an item, words of what follows */
};

/* What a record is. */
enum {
    UNSURE = 0,      /* whole, but something in it is not between its bounds; or of no schema: the slow way says what it is */
    GOOD = 1,
    UNDECODABLE = 2, /* not of its schema */
    TRAILING = 3,    /* longer than a record of its schema */
};

typedef struct {
    int64_t row, stride;
    int64_t *numbers, *texts, *sizes;
} Columns;

/* How a record was read: whether all is between its bounds, and whether all texts are UTF-8 that must be. */
typedef struct {
    int bounded, readable;
} Doubts;

/* Whether the bytes are of what the program says. That takes time by the bytes that are there, whatever counts say. */
static int run(const int64_t *op, const int64_t *stop, Cursor *cursor, const Columns *columns, Doubts *doubts,
               int levels) {
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
                columns->texts[op[1] * columns->stride + columns->row] = (int64_t)(intptr_t)cursor->at;
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
            /* A branch that there is not is the second one, as polars has it. */
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
                /* A negative count has the size of its items beside it, which only says how to skip them. */
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

/* Reads `count` framed records to columns of as many rows.
 *
 * `ids` are the schemas that may be read, `programs` has the first word of each one's program and the end of the last.
 * A number that is null is -1, a text that is null has size -1. `verdicts` gets what each record is: GOOD where it is, from
 * its first byte to its last, a record of its schema, not larger than `most` bytes, and everything in it lies between its
 * bounds; what the columns hold elsewhere means nothing. The answer is how many are good.
 */
int64_t sentinel_decode(int64_t count, const int64_t *addresses, const int64_t *value_sizes, int64_t most,
                        int64_t schemas, const int64_t *ids, const int64_t *programs, const int64_t *words,
                        int64_t *numbers, int64_t *texts, int64_t *sizes, uint8_t *verdicts) {
    int64_t all = 0;
    for (int64_t row = 0; row < count; row++) {
        const uint8_t *value = (const uint8_t *)(intptr_t)addresses[row];
        int64_t size = value_sizes[row], schema = 0;
        verdicts[row] = UNSURE;
        if (size < PREFIX_BYTES || size > most || value[0] != 0) continue;
        int64_t id = (int64_t)value[1] << 24 | (int64_t)value[2] << 16 | (int64_t)value[3] << 8 | value[4];
        while (schema < schemas && ids[schema] != id) schema++;
        if (schema == schemas) continue;
        Cursor cursor = {value + PREFIX_BYTES, value + size};
        Columns columns = {row, count, numbers, texts, sizes};
        Doubts doubts = {1, 1};
        const int64_t *program = words + programs[schema], *stop = words + programs[schema + 1];
        if (!run(program, stop, &cursor, &columns, &doubts, MOST_LEVELS))
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

static inline uint64_t rotated(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotated(v[1], 13) ^ v[0], v[0] = rotated(v[0], 32);
    v[2] += v[3], v[3] = rotated(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotated(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotated(v[1], 17) ^ v[2], v[2] = rotated(v[2], 32);
}

/* The next bytes of a text, of which `left` are there, as one word; fewer than eight without a call for each name's end. */
static inline uint64_t next_word(const uint8_t *at, int64_t left) {
    uint64_t word = 0;
    uint32_t first, last;
    if (left >= 8) {
        memcpy(&word, at, 8);
    } else if (left >= 4) {
        /* They overlap where there are fewer than eight. */
        memcpy(&first, at, 4);
        memcpy(&last, at + left - 4, 4);
        word = first | (uint64_t)last << 8 * (left - 4);
    } else {
        word = at[0] | (uint64_t)at[left / 2] << 8 * (left / 2) | (uint64_t)at[left - 1] << 8 * (left - 1);
    }
    return word;
}

/* SipHash-1-3 with 128 bits (Aumasson and Bernstein, 2012), over parts that each come with their size before them, so
 * that no two names of as many parts are the same words. */
static void hashed(const int64_t *texts, const int64_t *sizes, int64_t stride, int64_t parts, const int64_t *places,
                   uint64_t seed, uint64_t out[2]) {
    uint64_t v[4] = {UINT64_C(0x736f6d6570736575) ^ seed, UINT64_C(0x646f72616e646f6d) ^ ~seed ^ 0xee,
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

/* The two hashes of each of `count` names. Part p of name n is at places[p] * stride + n of `texts` and `sizes`. */
void sentinel_hash(int64_t count, int64_t stride, int64_t parts, const int64_t *places, const int64_t *texts,
                   const int64_t *sizes, uint64_t seed, uint64_t *first, uint64_t *second) {
    for (int64_t row = 0; row < count; row++) {
        uint64_t both[2];
        hashed(texts + row, sizes + row, stride, parts, places, seed, both);
        first[row] = both[0], second[row] = both[1];
    }
}

/* Rows by hashes in a table of open addressing: `slots` holds `mask` + 1 rows, a power of two, -1 where there is none;
 * `known` the first hash of each row, and `capacity` words later the second. -1 where a pair is not there.
 */
void sentinel_find(int64_t count, const uint64_t *first, const uint64_t *second, const uint64_t *known,
                   int64_t capacity, const int64_t *slots, int64_t mask, int64_t *rows) {
    for (int64_t index = 0; index < count; index++) {
        int64_t at = (int64_t)(first[index] & (uint64_t)mask), row;
        while ((row = slots[at]) >= 0 && (known[row] != first[index] || known[capacity + row] != second[index]))
            at = (at + 1) & mask;
        rows[index] = row;
    }
}

/* ---- Counting ---- */

/* Counts `count` events into rows of a table of `words` 64-bit words each: a bucket's (streams/state/windows.py), whose numbers
 * begin at word 2.
 *
 * Column c is at columns[c], and the next event's is steps[c] words on: 0 for a column that is the same for all. The
 * first `sums` columns are added; the next `maxima` raise what is there; of the last `sketches`, whose numbers are below
 * zero where an event has none, one is counted in the bin of each. `clamped` says of a sum whether it is one of these:
 * then it adds nothing where there is none. The bins of a sketch are `bins` 32-bit words after all numbers.
 */
void sentinel_count(int64_t count, const int64_t *rows, int64_t *table, int64_t words, int64_t sums, int64_t maxima,
                    int64_t sketches, const int64_t *const *columns, const int64_t *steps, const int64_t *clamped,
                    int64_t bins, int64_t shift, int64_t offset) {
    for (int64_t event = 0; event < count; event++) {
        int64_t *numbers = table + rows[event] * words + 2;
        uint32_t *counts = (uint32_t *)(numbers + sums + maxima);
        int64_t column = 0;
        for (; column < sums; column++) {
            int64_t value = columns[column][event * steps[column]];
            if (!clamped[column] || value > 0)
                numbers[column] = (int64_t)((uint64_t)numbers[column] + (uint64_t)value);
        }
        for (; column < sums + maxima; column++) {
            int64_t value = columns[column][event * steps[column]];
            if (value > numbers[column]) numbers[column] = value;
        }
        for (; column < sums + maxima + sketches; column++, counts += bins) {
            int64_t value = columns[column][event * steps[column]], bin;
            double number = (double)value;
            if (value < 0) continue;
            memcpy(&bin, &number, sizeof bin);
            bin = (bin >> shift) - offset;
            counts[bin < 0 ? 0 : bin < bins ? bin : bins - 1]++;
        }
    }
}
