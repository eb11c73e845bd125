// Prints what a Compose file means, as `docker compose config --format json` does and by the same library, which
// needs no Docker. The library checks the file against the JSON schema of the Compose specification before anything
// else, then fills in the variables and looks at how the parts refer to each other.
//
// Usage: compose FILE ENV_FILE
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file, envFile string) error {
	// Without the environment of the process: what the file needs stands in the env file.
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnvFiles(envFile), cli.WithDotEnv)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
