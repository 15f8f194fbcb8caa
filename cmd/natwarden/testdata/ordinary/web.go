// Web is all that the containers of the ordinary host hold: a server on port 80.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := http.ListenAndServe(":80", http.NotFoundHandler()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
