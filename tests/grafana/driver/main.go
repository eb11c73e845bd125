// Asks ClickHouse as Grafana's data source does: by clickhouse-go over HTTP, compressed with gzip, with a limit of time.
//
// Usage: driver HOST:PORT DATABASE < queries.json, a list of texts of SQL. It prints a list of answers in their order.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Answer is what came back for one query.
type Answer struct {
	Columns []string `json:"columns"`
	Types   []string `json:"types"`
	Rows    int      `json:"rows"`
	Error   string   `json:"error"`
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("expected HOST:PORT and DATABASE")
	}
	var queries []string
	if err := json.NewDecoder(os.Stdin).Decode(&queries); err != nil {
		log.Fatal(err)
	}
	database := clickhouse.OpenDB(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: os.Args[2], Username: "default"},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionGZIP},
		Settings:    clickhouse.Settings{"max_execution_time": 30},
		DialTimeout: 5 * time.Second,
		ReadTimeout: 30 * time.Second,
	})
	answers := make([]Answer, len(queries))
	for place, query := range queries {
		answers[place] = ask(database, query)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func ask(database *sql.DB, query string) Answer {
	answer := Answer{Columns: []string{}, Types: []string{}}
	rows, err := database.QueryContext(context.Background(), query)
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	for _, column := range types {
		answer.Columns = append(answer.Columns, column.Name())
		answer.Types = append(answer.Types, column.DatabaseTypeName())
	}
	cells := make([]any, len(types))
	for place := range cells {
		cells[place] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			answer.Error = err.Error()
			return answer
		}
		answer.Rows++
	}
	if err := rows.Err(); err != nil {
		answer.Error = err.Error()
	}
	return answer
}
