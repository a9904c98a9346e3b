// KafkaJS with avsc: murmur2 for keys, round robin without, gzip. It sends what is there, then what
// came meanwhile.
import { readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import avro from "avsc";
import kafkajs from "kafkajs";

const MOST_AT_ONCE = 500;
const MOST_WAITING = 5_000;
const { FOREIGN_BROKER, FOREIGN_TOPIC, FOREIGN_SCHEMA } = process.env;
const FRAME = Buffer.from([0, 0, 0, 0, 1]);
const type = avro.Type.forSchema(JSON.parse(readFileSync(FOREIGN_SCHEMA, "utf8")));

const client = new kafkajs.Kafka({
    clientId: "kafkajs",
    brokers: [FOREIGN_BROKER],
    logLevel: kafkajs.logLevel.ERROR,
});
const producer = client.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
});
await producer.connect();
console.log("ready");

const waiting = [];
let sending = Promise.resolve();
let isSending = false;
const lines = createInterface({ input: process.stdin });

async function send() {
    while (waiting.length) {
        const messages = waiting.splice(0, MOST_AT_ONCE);
        const stored = await producer.send({
            topic: FOREIGN_TOPIC,
            messages,
            compression: kafkajs.CompressionTypes.GZIP,
        });
        // It tells the first offset of each partition, and neither which records went there nor how
        // many.
        writeSync(
            1,
            stored.map(({ partition, baseOffset }) => `${partition} ${baseOffset}\n`).join(""),
        );
        if (waiting.length < MOST_WAITING) lines.resume();
    }
    isSending = false;
}

lines.on("line", (line) => {
    const { key, event } = JSON.parse(line);
    waiting.push({ key, value: Buffer.concat([FRAME, type.toBuffer(event)]) });
    if (waiting.length >= MOST_WAITING) lines.pause();
    if (!isSending) {
        isSending = true;
        sending = new Promise((done) => setImmediate(done)).then(send);
    }
});
await new Promise((done) => lines.once("close", done));
await sending;
await producer.disconnect();
