import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams on the copy that is keyed by application and model, so that no repartition topic is
 * needed.
 *
 * <p>One thread; a window store in memory with its changelog, behind the record cache; windows
 * leave once, when they close.
 *
 * <p>The work is done twice in one JVM, by two applications: the first warms the compiler and is
 * not counted.
 */
public final class Engine {
    private static final int PREFIX_BYTES = 5;
    private static final int COLUMNS = 6;
    private static final int REPORTS = 200;
    private static final Set<String> WANTED =
            Set.of("event_time", "application", "model", "status", "latency_us", "cost_nano");

    private static Schema writtenWith;
    private static Schema wanted;

    private static String told(String name) {
        String value = System.getenv("PEER_" + name);
        if (value == null)
            throw new IllegalStateException("PEER_" + name + " is not set");
        return value;
    }

    /**
     * Telemetry in prefix framing, of which only the wanted fields are made. Used by the one
     * thread.
     */
    private static final class Telemetry implements Deserializer<GenericRecord> {
        private final GenericDatumReader<GenericRecord> reader =
                new GenericDatumReader<>(writtenWith, wanted);
        private final Seen seen;
        private BinaryDecoder decoder;

        Telemetry(Seen seen) {
            this.seen = seen;
        }

        @Override
        public GenericRecord deserialize(String topic, byte[] value) {
            if (value == null)
                return null;
            seen.add();
            decoder = DecoderFactory.get().binaryDecoder(
                    value, PREFIX_BYTES, value.length - PREFIX_BYTES, decoder);
            try {
                return reader.read(null, decoder);
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }
    }

    /** Counts events; in the run that is measured it says so each half per cent of the way. */
    private static final class Seen {
        final CountDownLatch all = new CountDownLatch(1);
        private final long events;
        private final boolean tells;
        private long count;
        private long next = 1;

        Seen(long events, boolean tells) {
            this.events = events;
            this.tells = tells;
        }

        void add() {
            if (++count < next)
                return;
            next = count < events ? Math.min(count + Math.max(1, events / REPORTS), events)
                                  : Long.MAX_VALUE;
            if (tells)
                System.out.println("SEEN " + count);
            if (count >= events)
                all.countDown();
        }
    }

    private static final Serde<long[]> NUMBERS = Serdes.serdeFrom(
            (topic, numbers)
                    -> {
                if (numbers == null)
                    return null;
                ByteBuffer bytes = ByteBuffer.allocate(COLUMNS * Long.BYTES);
                for (long number : numbers) bytes.putLong(number);
                return bytes.array();
            },
            (topic, value) -> {
                if (value == null)
                    return null;
                long[] numbers = new long[COLUMNS];
                ByteBuffer.wrap(value).asLongBuffer().get(numbers);
                return numbers;
            });

    private static long[] fold(GenericRecord event, long[] numbers) {
        long latency = (Long) event.get("latency_us");
        return new long[] {
                numbers[0] + 1,
                numbers[1] + latency,
                numbers[2] + latency * latency,
                Math.max(numbers[3], latency),
                numbers[4] + (event.get("status").toString().equals("success") ? 0 : 1),
                numbers[5] + (Long) event.get("cost_nano"),
        };
    }

    private static String closed(long startMs, long[] numbers) {
        StringBuilder text = new StringBuilder("[").append(startMs * 1000);
        for (long number : numbers) text.append(',').append(number);
        return text.append(']').toString();
    }

    private static KafkaStreams streams(String application, String out, Seen seen) {
        Duration window = Duration.ofSeconds(Long.parseLong(told("WINDOW_S")));
        Duration grace = Duration.ofSeconds(Long.parseLong(told("GRACE_S")));
        Serde<GenericRecord> events = Serdes.serdeFrom((topic, event) -> {
            throw new IllegalStateException("nothing is repartitioned");
        }, new Telemetry(seen));
        var supplier = Stores.inMemoryWindowStore(
                "windows", window.plus(grace).multipliedBy(2), window, false);
        var builder = new StreamsBuilder();
        builder.stream(told("TOPIC"),
                       Consumed.with(Serdes.String(), events)
                               .withTimestampExtractor(
                                       (record, before)
                                               -> (Long) ((GenericRecord) record.value())
                                                          .get("event_time")
                                               / 1000))
                .groupByKey(Grouped.with(Serdes.String(), events))
                .windowedBy(TimeWindows.ofSizeAndGrace(window, grace))
                .aggregate(()
                                   -> new long[COLUMNS],
                        (key, event, numbers)
                                -> fold(event, numbers),
                        Materialized.<String, long[]>as(supplier)
                                .withKeySerde(Serdes.String())
                                .withValueSerde(NUMBERS)
                                .withCachingEnabled())
                .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
                .toStream()
                .map((key, numbers)
                                -> new KeyValue<>(key.key(), closed(key.window().start(), numbers)))
                .to(out, Produced.with(Serdes.String(), Serdes.String()));
        var settings = new Properties();
        settings.put("application.id", application);
        settings.put("bootstrap.servers", told("BROKER"));
        settings.put("state.dir", told("STATE"));
        settings.put("auto.offset.reset", "earliest");
        settings.put("num.stream.threads", "1");
        settings.put("commit.interval.ms",
                String.valueOf(Math.round(Double.parseDouble(told("COMMIT_S")) * 1000)));
        settings.put("statestore.cache.max.bytes", String.valueOf(256L << 20));
        settings.put("compression.type", "lz4");
        settings.put("linger.ms", "100");
        return new KafkaStreams(builder.build(), settings);
    }

    private static Schema only(Schema schema, Set<String> names) {
        List<Schema.Field> fields = new ArrayList<>();
        for (Schema.Field field : schema.getFields())
            if (names.contains(field.name()))
                fields.add(new Schema.Field(
                        field.name(), field.schema(), field.doc(), field.defaultVal()));
        return Schema.createRecord(
                schema.getName(), schema.getDoc(), schema.getNamespace(), false, fields);
    }

    public static void main(String[] arguments) throws Exception {
        writtenWith = new Schema.Parser().parse(Files.readString(Path.of(told("SCHEMA"))));
        wanted = only(writtenWith, WANTED);
        long events = Long.parseLong(told("EVENTS"));
        var warmUp = new Seen(events, false);
        try (KafkaStreams first =
                        streams(told("GROUP") + "-warm-up", told("OUT") + "-warm-up", warmUp)) {
            first.start();
            warmUp.all.await();
        }
        KafkaStreams measured = streams(told("GROUP"), told("OUT"), new Seen(events, true));
        Runtime.getRuntime().addShutdownHook(
                new Thread(() -> measured.close(Duration.ofSeconds(20))));
        measured.start();
    }
}
