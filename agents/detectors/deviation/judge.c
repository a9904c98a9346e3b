/* Judges closed buckets of series: is each measure larger (or traffic lower) than its own past
 * makes likely?
 *
 * A series has nine one-sided measures: six sizes (geometric means over the successful calls), the
 * share of failed calls, and the number of calls, above and below. Each is judged in windows of 1
 * to 1024 buckets, against references that remember from minutes to days. The result of a window is
 * -log p: Student's tail for a size, the negative binomial's for a count, each with the excess
 * variance of that window's length as learnt from the series, so that autocorrelation and bursts
 * count at the scale at which they occur. The score of a measure is the largest result of its
 * windows, less the logarithm of the looks an hour that a window gets.
 *
 * The threshold comes from the false alarms that are acceptable: hourly maxima of the score follow
 * a Gumbel law (Gumbel, Statistics of Extremes, 1958), whose place and scale are learnt for each
 * series and measure. What was learnt is bounded at each step (Huber, Annals of Mathematical
 * Statistics 35, 1964), and nothing is learnt of a measure while it is anomalous.
 *
 * Sums are doubles; what is kept is rounded to single precision, once a bucket. Rows are those of
 * the tables in state.py, which says what the fields mean. Nothing here allocates or calls Python.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define JUDGE_ABI 1

enum { SIZES = 6, MEASURES = 9, GROUPS = 8, RINGS = 5, REFERENCES = 7, SLOTS = 4, TABLES = 6 };
enum { ERRORS = 6, ABOVE = 7, BELOW = 8, CALLS = 7 };
enum { NOTHING, BEGUN, ENDED, ACCEPTED };

#define HOUR 360
/* Two days of buckets: exp(-1 / 17280). */
#define KEEP_MEAN 0.99994213131
/* -log p of what is not unusual at all. */
#define ORDINARY 0.7
/* Calls that a reference needs before it is compared with. */
#define KNOWN 20.0
/* Mean of min(z * z, 2) for normal z, by which a bounded square is too small. */
#define BOUNDED_SQUARE 0.857
/* Of a Gumbel law: mean less place, and mean excess over the mean, both in scales. */
#define GUMBEL_MEAN 0.5488
#define GUMBEL_EXCESS 0.4753

typedef struct {
    float n[SIZES], x[SIZES], calls, failures, attempts, buckets;
} Block;

typedef struct {
    float centre[SIZES], weight[SIZES], known[SIZES], spread[SIZES], windows[SIZES];
    float seen[2], exposure[2], excess[2], informed[2], learnt[2];
} Reference;

typedef struct {
    uint32_t stamp, age;
    Block ring[SLOTS];
    Reference references[2];
    float variance[SIZES], variance_n[SIZES], mean[SIZES], mean_n[SIZES], top[MEASURES];
    uint32_t since[MEASURES], tainted[GROUPS];
    uint16_t disturbed;
    uint8_t by[MEASURES], unknown[SIZES];
    uint8_t spare[3];
} Now;

typedef struct {
    Block ring[SLOTS];
    Reference references[2];
} Minutes;

typedef struct {
    Block ring[SLOTS];
    Reference references[1];
} Longer;

typedef struct {
    float place[MEASURES], excess[MEASURES], hours[MEASURES], habit[MEASURES];
} Tails;

typedef struct {
    double keep_sizes[REFERENCES], keep_calls[REFERENCES], keep_errors[REFERENCES];
    double spread[REFERENCES], excess[REFERENCES], looks[REFERENCES];
    double gates[MEASURES], accept[MEASURES], tail_prior[MEASURES];
    double error_excess, prior, spread_memory, least_calls, spread_floor;
    double excess_floor, error_excess_floor, ripe, freedom, close, least_steep, habit, habit_most;
    double brief, floor, steep, start, step, tail_memory, ease, tail_bound, calls_bar;
    double calls_windows, bound_calls, bound_calls_long, least_rate, least_age, doubt;
} Law;

typedef struct {
    double n[SIZES], x[SIZES], xx[SIZES], calls, failures;
} Input;

typedef struct {
    double score[MEASURES], threshold[MEASURES], bands[6][4];
    uint8_t became[MEASURES], open[MEASURES], changed, spare;
    uint8_t padding[4];
} Output;

typedef struct {
    Now *now;
    Minutes *minutes;
    Longer *longer[3];
    Tails *tails;
} Row;

typedef struct {
    double n[SIZES], x[SIZES], calls, failures, attempts, buckets;
} Window;

static const int HOP[RINGS] = {1, 4, 16, 64, 256};
static const int RING[REFERENCES] = {0, 0, 1, 1, 2, 3, 4};
static const int BLOCKS[REFERENCES] = {1, 4, 4, 4, 4, 4, 4};

static double larger(double a, double b) { return a > b ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }
static double within(double x, double low, double high) { return smaller(larger(x, low), high); }
static int group(int measure) { return measure < ABOVE ? measure : CALLS; }
static int length(int j) { return HOP[RING[j]] * BLOCKS[j]; }

static Block *ring_of(const Row *row, int ring) {
    if (ring == 0) return row->now->ring;
    return ring == 1 ? row->minutes->ring : row->longer[ring - 2]->ring;
}

static Reference *reference_of(const Row *row, int j) {
    if (j < 2) return &row->now->references[j];
    return j < 4 ? &row->minutes->references[j - 2] : &row->longer[j - 4]->references[0];
}

/* ---- Tails ---- */

/* log Gamma(x), x > 0: Stirling's series seven further on, and the recurrence back. */
static double log_gamma(double x) {
    double y = x + 7, inverse = 1 / y;
    double series = (y - 0.5) * log(y) - y + 0.91893853320467274;
    series += inverse * (1.0 / 12 - inverse * inverse / 360);
    return series - log(x * (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5) * (x + 6));
}

/* -log P(K as far from the mean as k or farther, on its side) of a negative binomial with variance
 * mean + excess * mean^2: the first term, and a geometric bound on the rest. */
static double count_tail(double k, double mean, double excess) {
    mean = larger(mean, 1e-9);
    double shape = 1 / excess, q = excess * mean / (1 + excess * mean);
    double first = log_gamma(k + shape) - log_gamma(shape) - log_gamma(k + 1) + k * log(q)
                   - shape * log1p(excess * mean);
    double next = k > mean ? (k + shape) / (k + 1) * q : k / larger((k - 1 + shape) * q, 1e-12);
    return larger(log(larger(1 - next, 1e-3)) - first, ORDINARY);
}

/* -log P(Z >= z), Student's: the density's tail integrated, with the factor of the normal one. */
static double size_tail(double z, double freedom) {
    return (freedom - 1) / 2 * log1p(z * z / freedom) + log(larger(z * 2.5066, 2.0));
}

/* ---- A window against its reference ---- */

static void window_of(const Row *row, int j, uint32_t bucket, Window *window) {
    const Block *blocks = ring_of(row, RING[j]);
    int first = BLOCKS[j] == 1 ? (int)(bucket / (uint32_t)HOP[RING[j]] % SLOTS) : 0;
    memset(window, 0, sizeof *window);
    for (int slot = first; slot < first + BLOCKS[j]; slot++) {
        for (int s = 0; s < SIZES; s++) {
            window->n[s] += (double)blocks[slot].n[s];
            window->x[s] += (double)blocks[slot].x[s];
        }
        window->calls += (double)blocks[slot].calls;
        window->failures += (double)blocks[slot].failures;
        window->attempts += (double)blocks[slot].attempts;
        window->buckets += (double)blocks[slot].buckets;
    }
}

/* Failed calls of all, worth one in a hundred at first; calls a bucket. */
static double rate_of(const Reference *reference, int count) {
    if (count == 0)
        return ((double)reference->seen[0] + 0.5) / ((double)reference->exposure[0] + 50);
    return (double)reference->seen[1] / larger((double)reference->exposure[1], 1e-9);
}

/* What is not known yet of calls in a long window is taken to be as restless as short ones are. */
static double excess_of(const Law *law, const Row *row, int j, int count) {
    const Reference *reference = reference_of(row, j);
    double floor = count ? law->excess_floor : law->error_excess_floor;
    double unsure = count ? 1 / larger((double)reference->seen[1] + 1, 1)
                          : 1 / ((double)reference->seen[0] + 3);
    if (count && j) {
        double doubt = law->doubt / (law->doubt + (double)reference->informed[1]);
        unsure += doubt * (double)row->now->references[0].excess[1];
    }
    return larger((double)reference->excess[count], floor) + unsure;
}

/* Variance of a window's mean logarithm of n calls against its reference. */
static double variance_of(const Law *law, const Now *now, const Reference *reference, double n,
                          int s) {
    double one = (double)now->variance[s], floor = law->spread_floor * law->spread_floor;
    return one / larger(n, 1) + larger((double)reference->spread[s], floor)
           + one / larger((double)reference->known[s], 1);
}

static double freedom_of(const Law *law, const Reference *reference, int s) {
    return smaller(8 + (double)reference->windows[s] / 2, law->freedom);
}

/* Of pace and price the size of a whole call: latency, cost. */
static const int WHOLE[SIZES] = {-1, -1, -1, -1, 0, 3};

/* What was seen less what is usual, in the unit of the measure's gate: natural logarithm, share. */
typedef struct {
    double result, effect, deviation;
} Compared;

static Compared compared_size(const Law *law, const Row *row, int j, const Window *window, int s) {
    const Reference *reference = reference_of(row, j);
    Compared out = {NAN, 0, 0};
    if (window->n[s] < law->least_calls || isinf(law->gates[s])) return out;
    if ((double)reference->known[s] < KNOWN) return out;
    if ((double)reference->windows[s] < law->ripe) return out;
    out.effect = window->x[s] / window->n[s] - (double)reference->centre[s];
    out.deviation = sqrt(variance_of(law, row->now, reference, window->n[s], s));
    out.result = size_tail(larger(out.effect / out.deviation, 0), freedom_of(law, reference, s));
    if (out.effect < law->gates[s]) out.result = smaller(out.result, ORDINARY);
    if (WHOLE[s] >= 0 && out.result > ORDINARY) {
        /* What is slower or dearer per token makes whole calls so too. Where it clearly does not,
         * the calls have become shorter: no fault. */
        Compared whole = compared_size(law, row, j, window, WHOLE[s]);
        if (!isnan(whole.result) && whole.effect + 2 * whole.deviation < out.effect)
            out.result = ORDINARY;
    }
    return out;
}

static Compared compared_errors(const Law *law, const Row *row, int j, const Window *window) {
    const Reference *reference = reference_of(row, j);
    Compared out = {NAN, 0, 0};
    if (window->attempts <= 0 || isinf(law->gates[ERRORS])) return out;
    if ((double)reference->learnt[0] < law->ripe || (double)reference->exposure[0] < 50) return out;
    double usual = rate_of(reference, 0), mean = usual * window->attempts;
    double excess = excess_of(law, row, j, 0);
    out.effect = window->failures / window->attempts - usual;
    out.deviation = sqrt(mean + excess * mean * mean) / window->attempts;
    out.result = out.effect < law->gates[ERRORS] ? ORDINARY
                                                  : count_tail(window->failures, mean, excess);
    return out;
}

static Compared compared_calls(const Law *law, const Row *row, int j, const Window *window,
                               int measure) {
    const Reference *reference = reference_of(row, j);
    Compared out = {NAN, 0, 0};
    if (j >= law->calls_windows || window->buckets <= 0 || isinf(law->gates[measure])) return out;
    if ((double)reference->learnt[1] < law->ripe || (double)reference->seen[1] < 10) return out;
    double mean = rate_of(reference, 1) * window->buckets, excess = excess_of(law, row, j, 1);
    if (measure == BELOW && mean <= 1) return out;
    double sign = measure == ABOVE ? 1 : -1;
    out.effect = sign * log((window->calls + 0.5) / (mean + 0.5));
    out.deviation = sqrt(1 / larger(mean, 1) + excess);
    out.result = out.effect < law->gates[measure] || sign * (window->calls - mean) <= 0
                     ? ORDINARY
                     : count_tail(window->calls, mean, excess);
    return out;
}

static Compared compared(const Law *law, const Row *row, int j, const Window *window, int measure) {
    if (measure < SIZES) return compared_size(law, row, j, window, measure);
    if (measure == ERRORS) return compared_errors(law, row, j, window);
    return compared_calls(law, row, j, window, measure);
}

/* ---- Thresholds ---- */

static double scale_of(const Law *law, const Tails *tails, int measure) {
    return within((double)tails->excess[measure] / GUMBEL_EXCESS, law->least_steep, 6);
}

/* Score that the hourly maximum exceeds with probability exp(-rare). */
static double threshold_of(const Law *law, const Tails *tails, int measure, double rare) {
    double scale = scale_of(law, tails, measure);
    double place = (double)tails->place[measure] - GUMBEL_MEAN * scale;
    double bar = measure >= ABOVE ? law->calls_bar : 1;
    return larger(place + scale * rare, law->floor) * (double)tails->habit[measure] * bar;
}

/* Once an hour: its largest scores teach the Gumbel laws. Hours with an anomaly teach nothing but
 * of traffic, which may be restless by nature. */
static void learn_tails(const Law *law, Row *row) {
    Now *now = row->now;
    Tails *tails = row->tails;
    for (int m = 0; m < MEASURES; m++) {
        int calm = !(now->disturbed >> m & 1) && !now->since[m];
        tails->habit[m] = (float)(1 + ((double)tails->habit[m] - 1) * law->ease);
        if (isfinite(now->top[m]) && (calm || m >= ABOVE)) {
            double place = (double)tails->place[m], excess = (double)tails->excess[m];
            double most = place + law->tail_bound * larger(excess / GUMBEL_EXCESS, 0.5);
            double top = larger(smaller((double)now->top[m], most), -8);
            double hours = smaller((double)tails->hours[m], law->tail_memory);
            double weight = 1 / (hours + law->tail_prior[m]);
            tails->excess[m] = (float)(excess + weight * (larger(top - place, 0) - excess));
            tails->place[m] = (float)(place + weight * (top - place));
            tails->hours[m] += 1;
        }
        now->top[m] = -INFINITY;
        if (!now->since[m]) now->disturbed &= (uint16_t) ~(1u << m);
    }
}

/* ---- Learning ---- */

/* How far whole windows stray from their reference: excess variances. */
static void learn_spread(const Law *law, Row *row, int j, const Window *window,
                         const uint8_t *frozen) {
    Reference *reference = reference_of(row, j);
    double most_windows = law->spread_memory / length(j);
    for (int s = 0; s < SIZES; s++) {
        double n = window->n[s], one = (double)row->now->variance[s];
        if (frozen[s] || n < law->least_calls || (double)reference->known[s] < KNOWN) continue;
        double total = variance_of(law, row->now, reference, n, s);
        double effect = window->x[s] / n - (double)reference->centre[s];
        double square = smaller(effect * effect / total, 2) / BOUNDED_SQUARE;
        double noise = one / n + one / larger((double)reference->known[s], 1);
        double spread = (double)reference->spread[s];
        double weight = 1 / (smaller((double)reference->windows[s], most_windows) + law->prior);
        reference->spread[s] =
            (float)larger(spread + weight * (square * total - noise - spread), 0);
        reference->windows[s] += 1;
    }
    double seen[2] = {window->failures, window->calls};
    double exposure[2] = {window->attempts, window->buckets};
    for (int c = 0; c < 2; c++) {
        double mean = rate_of(reference, c) * exposure[c], excess = excess_of(law, row, j, c);
        if (frozen[c ? CALLS : ERRORS] || mean <= 0.3 || reference->learnt[c] < 2) continue;
        double bound = c && length(j) > 16 ? law->bound_calls_long : law->bound_calls;
        double square = smaller((seen[c] - mean) * (seen[c] - mean),
                                bound * (mean + excess * mean * mean));
        /* A window weighs by what it says of the excess: little where counts are few. */
        double informs = larger(excess, 0.02) * mean;
        informs /= 1 + informs;
        double kept = (double)reference->excess[c];
        double informed = smaller((double)reference->informed[c], most_windows);
        double weight = informs / (informed + law->prior);
        reference->excess[c] =
            (float)larger(kept + weight * ((square - mean) / (mean * mean) - kept), 0);
        reference->informed[c] += (float)informs;
    }
}

static void learn_centre(const Law *law, Row *row, int j, uint32_t bucket, const uint8_t *frozen) {
    Reference *reference = reference_of(row, j);
    int hop = HOP[RING[j]];
    const Block *block = &ring_of(row, RING[j])[bucket / (uint32_t)hop % SLOTS];
    for (int s = 0; s < SIZES; s++) {
        double n = (double)block->n[s], one = (double)row->now->variance[s];
        if (frozen[s] || n <= 0) continue;
        double keep = law->keep_sizes[j];
        double spread = larger((double)reference->spread[s], 1e-4), centre = reference->centre[s];
        double mean = (double)block->x[s] / n, bound = law->step * sqrt(one / n + spread);
        if ((double)reference->known[s] >= KNOWN)
            mean = centre + within(mean - centre, -bound, bound);
        double weight = n / (1 + n * spread / one);
        double total = (double)reference->weight[s] * keep + weight;
        reference->centre[s] = (float)(centre + weight / larger(total, 1e-9) * (mean - centre));
        reference->weight[s] = (float)total;
        reference->known[s] = (float)((double)reference->known[s] * keep + n);
    }
    double seen[2] = {(double)block->failures, (double)block->calls};
    double exposure[2] = {(double)block->attempts, (double)block->buckets};
    double kept[2] = {law->keep_errors[j], law->keep_calls[j]};
    for (int c = 0; c < 2; c++) {
        if (frozen[c ? CALLS : ERRORS] || exposure[c] <= 0) continue;
        double keep = kept[c], mean = rate_of(reference, c) * exposure[c];
        double floor = larger((double)reference->excess[c], law->excess_floor);
        double bound = law->step * (sqrt(mean + floor * mean * mean) + 0.5);
        double counted = reference->learnt[c] < 8
                             ? seen[c]
                             : mean + within(seen[c] - mean, -bound, bound);
        reference->seen[c] = (float)larger((double)reference->seen[c] * keep + counted, 0);
        reference->exposure[c] = (float)((double)reference->exposure[c] * keep + exposure[c]);
        reference->learnt[c] += (float)hop / (float)length(j);
    }
}

/* Variance of one call's logarithm, and a mean that follows over days. */
static void learn_calls(Row *row, const Input *input, const uint8_t *frozen) {
    Now *now = row->now;
    for (int s = 0; s < SIZES; s++) {
        double n = input->n[s], variance = (double)now->variance[s];
        if (frozen[s] || n <= 0) continue;
        double mean = now->mean_n[s] > 0 ? (double)now->mean[s] : input->x[s] / n;
        double squares = input->xx[s] - 2 * mean * input->x[s] + n * mean * mean;
        double weight = n / (smaller((double)now->variance_n[s], 20000) + n);
        double moved = variance + weight * (smaller(squares / n, 25 * variance) - variance);
        now->variance[s] = (float)larger(moved, 1e-4);
        now->variance_n[s] = (float)smaller((double)now->variance_n[s] + n, 1e6);
        double total = (double)now->mean_n[s] + n;
        now->mean[s] = (float)(mean + n / total * (input->x[s] / n - mean));
        now->mean_n[s] = (float)(total * KEEP_MEAN);
    }
}

/* ---- Rows ---- */

static void begin(const Law *law, Row *row) {
    Now *now = row->now;
    for (int s = 0; s < SIZES; s++) {
        now->variance[s] = 1;
        now->variance_n[s] = 5;
    }
    for (int j = 0; j < REFERENCES; j++) {
        Reference *reference = reference_of(row, j);
        for (int s = 0; s < SIZES; s++)
            reference->spread[s] = (float)(law->spread[j] * law->spread[j]);
        reference->excess[0] = (float)law->error_excess;
        reference->excess[1] = (float)law->excess[j];
    }
    for (int m = 0; m < MEASURES; m++) {
        row->tails->place[m] = (float)(law->start + GUMBEL_MEAN * law->steep);
        row->tails->excess[m] = (float)(GUMBEL_EXCESS * law->steep);
        row->tails->habit[m] = 1;
        now->top[m] = -INFINITY;
    }
}

/* The bucket becomes a block; where one ends, four blocks become one of the next ring. Returns how
 * many rings got one. */
static int put(Row *row, const Input *input, uint32_t bucket, const uint8_t *frozen) {
    Now *now = row->now;
    Block *block = &now->ring[bucket % SLOTS];
    int rings = 1;
    for (int s = 0; s < SIZES; s++) {
        block->n[s] = (float)input->n[s];
        block->x[s] = (float)input->x[s];
    }
    block->calls = block->attempts = (float)input->calls;
    block->failures = (float)input->failures;
    block->buckets = 1;
    for (; rings < RINGS && (bucket + 1) % (uint32_t)HOP[rings] == 0; rings++) {
        const Block *low = ring_of(row, rings - 1);
        Block *high = &ring_of(row, rings)[bucket / (uint32_t)HOP[rings] % SLOTS];
        memset(high, 0, sizeof *high);
        for (int slot = 0; slot < SLOTS; slot++) {
            for (int s = 0; s < SIZES; s++) {
                high->n[s] += low[slot].n[s];
                high->x[s] += low[slot].x[s];
            }
            high->calls += low[slot].calls;
            high->failures += low[slot].failures;
            high->attempts += low[slot].attempts;
            high->buckets += low[slot].buckets;
        }
    }
    for (int g = 0; g < GROUPS; g++)
        for (int ring = 0; ring < rings; ring++) {
            uint32_t bit = 1u << (SLOTS * ring + (int)(bucket / (uint32_t)HOP[ring] % SLOTS));
            if (frozen[g])
                now->tainted[g] |= bit;
            else
                now->tainted[g] &= ~bit;
        }
    return rings;
}

/* Drops what anomalies that are over left in all windows, so that they do not ring on in longer
 * ones. */
static void purge(Row *row, const uint8_t *over) {
    for (int g = 0; g < GROUPS; g++) {
        if (!over[g]) continue;
        for (int at = 0; at < RINGS * SLOTS; at++) {
            if (!(row->now->tainted[g] >> at & 1)) continue;
            Block *block = &ring_of(row, at / SLOTS)[at % SLOTS];
            if (g < SIZES)
                block->n[g] = block->x[g] = 0;
            else if (g == ERRORS)
                block->failures = block->attempts = 0;
            else
                block->calls = block->buckets = 0;
        }
        row->now->tainted[g] = 0;
    }
}

/* What lasts becomes usual. */
static void adopt(Row *row, const uint8_t *taken, uint32_t bucket) {
    for (int j = 0; j < REFERENCES; j++) {
        Window window;
        window_of(row, j, bucket, &window);
        Reference *reference = reference_of(row, j);
        for (int s = 0; s < SIZES; s++)
            if (taken[s] && window.n[s] > 0)
                reference->centre[s] = (float)(window.x[s] / window.n[s]);
        if (taken[ERRORS] && window.attempts > 0)
            reference->seen[0] =
                (float)(window.failures / window.attempts * (double)reference->exposure[0]);
        if (taken[CALLS] && window.buckets > 0)
            reference->seen[1] =
                (float)(window.calls / window.buckets * (double)reference->exposure[1]);
    }
    for (int g = 0; g < GROUPS; g++)
        if (taken[g]) row->now->tainted[g] = 0;
}

/* An anomaly is over when each window up to the one that found it is clearly ordinary again. A
 * window without data says nothing, so that silence ends no anomaly but that of many calls. */
static int is_over(const Law *law, const Row *row, int measure, uint32_t bucket, double threshold) {
    int by = row->now->by[measure];
    for (int j = by; j >= 0; j--) {
        Window window;
        window_of(row, j, bucket, &window);
        double result = compared(law, row, j, &window, measure).result;
        if (isnan(result)) {
            if (j == by && measure < ABOVE) return 0;
            continue;
        }
        if (result >= larger(law->close * (threshold + law->looks[j]), 1.6)) return 0;
    }
    return 1;
}

static int may_adopt(const Law *law, const Row *row, int measure, uint32_t bucket) {
    /* Latency and its pace, cost and its price are reported as one. */
    static const int PARTNER[MEASURES] = {4, 1, 2, 5, 0, 3, 6, 7, 8};
    uint32_t since = row->now->since[measure], other = row->now->since[PARTNER[measure]];
    if (other && other < since) since = other;
    if (bucket + 1 - since < law->accept[measure]) return 0;
    if (measure != BELOW) return 1;
    /* Next to silence is no level. */
    Window window;
    window_of(row, 2, bucket, &window);
    return window.buckets > 0 && window.calls / window.buckets >= law->least_rate;
}

static void open_and_end(const Law *law, Row *row, uint32_t bucket, const uint8_t *by,
                         uint8_t *frozen, Output *out) {
    Now *now = row->now;
    uint8_t over[GROUPS] = {0}, taken[GROUPS] = {0}, ended = 0, adopted = 0;
    for (int m = 0; m < MEASURES; m++) {
        if (now->since[m]) {
            uint32_t age = bucket + 1 - now->since[m];
            if (is_over(law, row, m, bucket, out->threshold[m])) {
                out->became[m] = ENDED;
                over[group(m)] = ended = 1;
                if (m >= ABOVE && age < law->brief)
                    row->tails->habit[m] = (float)smaller(
                        (double)row->tails->habit[m] * law->habit, law->habit_most);
            } else if (may_adopt(law, row, m, bucket)) {
                out->became[m] = ACCEPTED;
                taken[group(m)] = adopted = 1;
            }
        } else if (out->score[m] >= out->threshold[m]) {
            now->since[m] = bucket + 1;
            now->by[m] = by[m];
            now->disturbed |= (uint16_t)(1u << m);
            now->tainted[group(m)] = (1u << (RINGS * SLOTS)) - 1;
            frozen[group(m)] = 1;
            out->became[m] = BEGUN;
        }
    }
    for (int m = 0; m < MEASURES; m++) {
        if (out->became[m] == ENDED || out->became[m] == ACCEPTED) now->since[m] = 0;
        out->open[m] = now->since[m] > 0;
        /* Both sides of the traffic share what they left. */
        if (out->open[m]) over[group(m)] = taken[group(m)] = 0;
    }
    if (adopted) adopt(row, taken, bucket);
    if (ended) purge(row, over);
    if (ended || adopted) out->changed = (1 << TABLES) - 1;
}

static void draw(const Law *law, const Row *row, const Window *window, Output *out) {
    static const int MEASURE[6] = {0, 1, 2, 3, ERRORS, ABOVE};
    const Reference *reference = reference_of(row, 0);
    for (int band = 0; band < 6; band++) {
        int m = MEASURE[band];
        double tail = out->threshold[m] + law->looks[0], *made = out->bands[band];
        made[0] = made[1] = made[2] = made[3] = NAN;
        if (m < SIZES) {
            if (window->n[m] <= 0) continue;
            made[0] = window->x[m] / window->n[m];
            if ((double)reference->known[m] < KNOWN || reference->windows[m] < law->ripe) continue;
            double freedom = freedom_of(law, reference, m);
            double z = sqrt(freedom * expm1(2 * tail / (freedom - 1)));
            double wide = z * sqrt(variance_of(law, row->now, reference, window->n[m], m));
            made[1] = (double)reference->centre[m];
            /* Aggregates have plain means of tokens and cost: of a log-normal size that is larger
             * by half the variance. */
            if (m == 2 || m == 3) made[1] += (double)row->now->variance[m] / 2;
            made[2] = made[1] - wide;
            made[3] = made[1] + larger(wide, law->gates[m]);
            continue;
        }
        int count = m == ERRORS ? 0 : 1;
        double exposure = count ? 1 : window->attempts;
        if (exposure <= 0) continue;
        made[0] = (count ? window->calls : window->failures) / exposure;
        if ((double)reference->learnt[count] < law->ripe) continue;
        double usual = rate_of(reference, count), mean = usual * exposure;
        double excess = excess_of(law, row, 0, count);
        double wide = sqrt(2 * tail * (mean + excess * mean * mean)) / exposure;
        made[1] = usual;
        made[2] = larger(usual - wide, 0);
        made[3] = count ? usual + wide : smaller(usual + wide, 1);
    }
}

static void judge(const Law *law, Row *row, const Input *input, uint32_t bucket, double rare,
                  int silently, Output *out) {
    Now *now = row->now;
    uint8_t frozen[GROUPS] = {0}, by[MEASURES] = {0};
    Window windows[REFERENCES];
    if (!now->age) {
        begin(law, row);
        out->changed = (1 << TABLES) - 1;
    }
    now->age += now->age < UINT32_MAX;
    now->stamp = bucket + 1;
    for (int m = 0; m < MEASURES; m++) {
        if (!now->since[m]) continue;
        frozen[group(m)] = 1;
        /* An anomaly does not grow old unseen. */
        if (m < ABOVE && input->calls <= 0) now->since[m]++;
    }
    int rings = put(row, input, bucket, frozen);
    out->changed |= (uint8_t)((1 << rings) - 1);
    for (int m = 0; m < MEASURES; m++) {
        out->score[m] = -INFINITY;
        out->became[m] = NOTHING;
        out->threshold[m] = threshold_of(law, row->tails, m, rare);
    }
    for (int j = 0; j < REFERENCES && RING[j] < rings; j++) {
        window_of(row, j, bucket, &windows[j]);
        if (now->age <= law->least_age) continue;
        for (int m = 0; m < MEASURES; m++) {
            double score = compared(law, row, j, &windows[j], m).result - law->looks[j];
            if (!(score > out->score[m])) continue;
            out->score[m] = score;
            by[m] = (uint8_t)j;
        }
    }
    for (int m = 0; m < MEASURES; m++)
        if (out->score[m] > (double)now->top[m]) now->top[m] = (float)out->score[m];
    draw(law, row, &windows[0], out);
    if (!silently) open_and_end(law, row, bucket, by, frozen, out);
    for (int j = 0; j < REFERENCES && RING[j] < rings; j++) {
        if ((bucket + 1) % (uint32_t)length(j) == 0)
            learn_spread(law, row, j, &windows[j], frozen);
        learn_centre(law, row, j, bucket, frozen);
    }
    learn_calls(row, input, frozen);
    for (int s = 0; s < SIZES; s++) {
        if (!now->since[s] || input->n[s] > 0)
            now->unknown[s] = 0;
        else if (input->calls > 0 && now->unknown[s] < UINT8_MAX)
            now->unknown[s]++;
    }
    if ((bucket + 1) % HOUR == 0) {
        learn_tails(law, row);
        out->changed |= 1 << (TABLES - 1);
    }
}

/* Buckets that were passed over: nothing happened in them. After a long while the windows are
 * empty, and begin again. */
static void catch_up(const Law *law, Row *row, uint32_t bucket, double rare, Output *out) {
    static const Input SILENCE;
    Now *now = row->now;
    if (!now->age || now->stamp >= bucket) return;
    if (bucket - now->stamp > 1024) {
        for (int ring = 0; ring < RINGS; ring++)
            memset(ring_of(row, ring), 0, SLOTS * sizeof(Block));
        memset(now->tainted, 0, sizeof now->tainted);
        for (int m = 0; m < ABOVE; m++)
            if (now->since[m]) now->since[m] += bucket - now->stamp;
        out->changed = (1 << TABLES) - 1;
        return;
    }
    while (now->stamp < bucket) judge(law, row, &SILENCE, now->stamp, rare, 1, out);
}

/* Whether a silent row may be left alone in this bucket: hardly anything is expected of it, and
 * nothing is open. It is looked at again every 64 buckets. */
static int asleep(const Law *law, const Now *now, const Input *input, uint32_t bucket) {
    if (!now->age || input->calls > 0 || (bucket + 1) % 64 == 0) return 0;
    for (int m = 0; m < MEASURES; m++)
        if (now->since[m]) return 0;
    return rate_of(&now->references[1], 1) < law->least_rate;
}

/* ---- What Python calls ---- */

int64_t judge_abi(void) { return JUDGE_ABI; }

int64_t judge_size(int64_t what) {
    static const size_t SIZE[] = {sizeof(Now), sizeof(Minutes), sizeof(Longer), sizeof(Tails),
                                  sizeof(Law), sizeof(Input), sizeof(Output), sizeof(Block),
                                  sizeof(Reference)};
    return (int64_t)SIZE[what];
}

static Row row_at(int64_t at, char *const *tables) {
    Row row = {(Now *)tables[0] + at, (Minutes *)tables[1] + at, {0}, (Tails *)tables[5] + at};
    for (int i = 0; i < 3; i++) row.longer[i] = (Longer *)tables[2 + i] + at;
    return row;
}

/* Judges one bucket of `count` rows, whose places in the tables are `rows`, and learns from it. */
void judge_close(const Law *law, int64_t count, const int64_t *rows, int64_t bucket,
                 const Input *inputs, const double *rare, char *const *tables, Output *outputs) {
    for (int64_t i = 0; i < count; i++) {
        Row row = row_at(rows[i], tables);
        Output *out = &outputs[i];
        memset(out, 0, sizeof *out);
        for (int band = 0; band < 6; band++)
            for (int k = 0; k < 4; k++) out->bands[band][k] = NAN;
        if (asleep(law, row.now, &inputs[i], (uint32_t)bucket)) continue;
        catch_up(law, &row, (uint32_t)bucket, rare[i], out);
        judge(law, &row, &inputs[i], (uint32_t)bucket, rare[i], 0, out);
    }
}

/* Everything that the result of an open anomaly's window was computed from, in the order of
 * native.NUMBERS. */
void judge_describe(const Law *law, int64_t at, int64_t bucket, int64_t measure, double rare,
                    char *const *tables, double *out) {
    Row row = row_at(at, tables);
    int m = (int)measure, j = row.now->by[m], s = m < SIZES ? m : 0, c = m == ERRORS ? 0 : 1;
    Window window;
    window_of(&row, j, (uint32_t)bucket, &window);
    const Reference *reference = reference_of(&row, j);
    Compared found = compared(law, &row, j, &window, m);
    double whole = NAN;
    if (m < SIZES && WHOLE[m] >= 0) {
        int w = WHOLE[m];
        whole = window.n[w] > 0 ? window.x[w] / window.n[w]
                                : (double)reference->centre[w] + found.effect;
    }
    double numbers[] = {
        (double)length(j),
        law->looks[j],
        m < SIZES ? window.n[s] : c ? window.buckets : window.attempts,
        m < SIZES ? window.x[s] : c ? window.calls : window.failures,
        m < SIZES ? (double)reference->centre[s] : rate_of(reference, c),
        m < SIZES ? variance_of(law, row.now, reference, window.n[s], s)
                  : excess_of(law, &row, j, c),
        m < SIZES ? freedom_of(law, reference, s) : 0,
        found.effect,
        found.deviation,
        law->gates[m],
        threshold_of(law, row.tails, m, rare),
        scale_of(law, row.tails, m),
        whole,
    };
    memcpy(out, numbers, sizeof numbers);
}

/* The score of a window again, from numbers that `judge_describe` gave. */
double judge_score(int64_t measure, double looked, double exposure, double seen, double usual,
                   double spread, double freedom, double gate) {
    int m = (int)measure;
    if (m < SIZES) {
        double effect = seen / exposure - usual;
        double result = size_tail(larger(effect / sqrt(spread), 0), freedom);
        return (effect < gate ? smaller(result, ORDINARY) : result) - looked;
    }
    double mean = usual * exposure;
    double effect = m == ERRORS ? seen / exposure - usual
                                : (m == ABOVE ? 1 : -1) * log((seen + 0.5) / (mean + 0.5));
    return (effect < gate ? ORDINARY : count_tail(seen, mean, spread)) - looked;
}
