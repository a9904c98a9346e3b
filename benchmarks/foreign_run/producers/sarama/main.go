// Sarama with hamba/avro: FNV-1a for keys, random partitions without, snappy.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/IBM/sarama"
	"github.com/hamba/avro/v2"
)

type line struct {
	Key   *string        `json:"key"`
	Event map[string]any `json:"event"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// whole gives a record all its fields, with the types that the encoder wants.
func whole(schema *avro.RecordSchema, event map[string]any) map[string]any {
	made := make(map[string]any, len(schema.Fields()))
	for _, field := range schema.Fields() {
		value, given := event[field.Name()]
		if !given {
			made[field.Name()] = field.Default()
			continue
		}
		made[field.Name()] = typed(field.Type(), value)
	}
	return made
}

func typed(schema avro.Schema, value any) any {
	switch of := schema.(type) {
	case *avro.UnionSchema:
		if value == nil {
			return nil
		}
		for _, one := range of.Types() {
			if one.Type() != avro.Null {
				return map[string]any{string(one.Type()): typed(one, value)}
			}
		}
	case *avro.ArraySchema:
		items := make([]any, 0)
		for _, item := range value.([]any) {
			items = append(items, typed(of.Items(), item))
		}
		return items
	case *avro.RecordSchema:
		return whole(of, value.(map[string]any))
	case *avro.PrimitiveSchema:
		switch of.Type() {
		case avro.Long:
			number, err := value.(json.Number).Int64()
			check(err)
			return number
		case avro.Int:
			number, err := value.(json.Number).Int64()
			check(err)
			return int(number)
		case avro.Double:
			number, err := value.(json.Number).Float64()
			check(err)
			return number
		}
	}
	return value
}

func main() {
	topic := os.Getenv("FOREIGN_TOPIC")
	text, err := os.ReadFile(os.Getenv("FOREIGN_SCHEMA"))
	check(err)
	// A plain long: this library would want a time.Time for a timestamp.
	timestamp := []byte(`{"type": "long", "logicalType": "timestamp-micros"}`)
	text = bytes.ReplaceAll(text, timestamp, []byte(`"long"`))
	parsed, err := avro.Parse(string(text))
	check(err)
	schema := parsed.(*avro.RecordSchema)

	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Compression = sarama.CompressionSnappy
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Return.Successes = true
	producer, err := sarama.NewAsyncProducer([]string{os.Getenv("FOREIGN_BROKER")}, config)
	check(err)

	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "ready")
	check(out.Flush())
	told := make(chan struct{})
	go func() {
		defer close(told)
		for message := range producer.Successes() {
			fmt.Fprintln(out, message.Partition, message.Offset)
		}
	}()
	go func() {
		for failed := range producer.Errors() {
			check(failed.Err)
		}
	}()

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<16), 1<<20)
	for lines.Scan() {
		var read line
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.UseNumber()
		check(decoder.Decode(&read))
		body, err := avro.Marshal(schema, whole(schema, read.Event))
		check(err)
		framed := append([]byte{0, 0, 0, 0, 1}, body...)
		message := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(framed)}
		if read.Key != nil {
			message.Key = sarama.StringEncoder(*read.Key)
		}
		producer.Input() <- message
	}
	check(lines.Err())
	producer.AsyncClose()
	<-told
	check(out.Flush())
}
