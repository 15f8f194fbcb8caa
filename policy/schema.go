package policy

import "encoding/json"

// Schema is the JSON Schema (draft 2020-12) of the policy file, for editors.
// It is made from the same table of keys as the parser, which is stricter:
// values in words (ports, addresses, destinations) are only strings here.
func Schema() []byte {
	s := fileObject().schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "natwarden policy"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil // maps, slices and strings always marshal
	}
	return append(text, '\n')
}
