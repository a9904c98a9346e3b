import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Apache Kafka's own client with Apache Avro: murmur2 for keys, sticky partitions without, zstd.
 */
public final class Sender {
    private static final byte[] FRAME = {0, 0, 0, 0, 1};

    private static Schema withoutNull(Schema schema) {
        if (schema.getType() != Schema.Type.UNION)
            return schema;
        return schema.getTypes()
                .stream()
                .filter(one -> one.getType() != Schema.Type.NULL)
                .findFirst()
                .orElseThrow();
    }

    private static Object value(Schema given, JsonNode node) {
        if (node.isNull())
            return null;
        Schema schema = withoutNull(given);
        switch (schema.getType()) {
            case RECORD:
                return record(schema, node);
            case ARRAY: {
                List<Object> items = new ArrayList<>();
                for (JsonNode item : node) items.add(value(schema.getElementType(), item));
                return items;
            }
            case ENUM:
                return new GenericData.EnumSymbol(schema, node.asText());
            case STRING:
                return node.asText();
            case INT:
                return node.asInt();
            case LONG:
                return node.asLong();
            case FLOAT:
                return (float) node.asDouble();
            case DOUBLE:
                return node.asDouble();
            default:
                throw new IllegalArgumentException("no " + schema.getType() + " is expected");
        }
    }

    private static GenericRecord record(Schema schema, JsonNode node) {
        GenericRecord made = new GenericData.Record(schema);
        for (Schema.Field field : schema.getFields()) {
            JsonNode given = node.get(field.name());
            made.put(field.pos(),
                    given != null ? value(field.schema(), given)
                                  : GenericData.get().getDefaultValue(field));
        }
        return made;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> told = System.getenv();
        String topic = told.get("FOREIGN_TOPIC");
        Schema schema =
                new Schema.Parser().parse(Files.readString(Path.of(told.get("FOREIGN_SCHEMA"))));
        GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(schema);
        Map<String, Object> settings = Map.of("bootstrap.servers", told.get("FOREIGN_BROKER"),
                "key.serializer", ByteArraySerializer.class, "value.serializer",
                ByteArraySerializer.class, "compression.type", "zstd");
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        ObjectMapper json = new ObjectMapper();
        BinaryEncoder encoder = null;
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            producer.partitionsFor(topic);
            out.println("ready");
            out.flush();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode read = json.readTree(line);
                ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
                bytes.write(FRAME);
                encoder = EncoderFactory.get().binaryEncoder(bytes, encoder);
                writer.write(record(schema, read.get("event")), encoder);
                encoder.flush();
                byte[] key = read.get("key").isNull()
                        ? null
                        : read.get("key").asText().getBytes(StandardCharsets.UTF_8);
                producer.send(
                        new ProducerRecord<>(topic, key, bytes.toByteArray()), (stored, error) -> {
                            if (error != null) {
                                System.err.println(error);
                                Runtime.getRuntime().halt(1);
                            }
                            out.println(stored.partition() + " " + stored.offset());
                        });
            }
        }
        out.flush();
    }
}
