package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// definitions is what the generator reads of the vendored bundles.
type definitions struct {
	structures []*structure
	valueSets  map[string]*valueSet // by canonical without version
}

type structure struct {
	URL            string `json:"url"`
	Type           string `json:"type"`
	Kind           string `json:"kind"`
	Abstract       bool   `json:"abstract"`
	BaseDefinition string `json:"baseDefinition"`
	Derivation     string `json:"derivation"`
	Snapshot       struct {
		Element []*elementDef `json:"element"`
	} `json:"snapshot"`
}

type elementDef struct {
	Path string `json:"path"`
	Min  int    `json:"min"`
	Max  string `json:"max"`
	Base struct {
		Path string `json:"path"`
	} `json:"base"`
	ContentReference string    `json:"contentReference"`
	Type             []typeRef `json:"type"`
	Representation   []string  `json:"representation"`
	IsSummary        bool      `json:"isSummary"`
	IsModifier       bool      `json:"isModifier"`
	Short            string    `json:"short"`
	Binding          *struct {
		Strength string `json:"strength"`
		ValueSet string `json:"valueSet"`
	} `json:"binding"`
}

type typeRef struct {
	Code          string   `json:"code"`
	TargetProfile []string `json:"targetProfile"`
	Extension     []struct {
		URL      string `json:"url"`
		ValueURL string `json:"valueUrl"`
	} `json:"extension"`
}

type valueSet struct {
	URL     string `json:"url"`
	Compose struct {
		Include []struct {
			System   string   `json:"system"`
			ValueSet []string `json:"valueSet"`
		} `json:"include"`
	} `json:"compose"`
}

// load reads the bundles that the tables are made from.
func load(dir string) (*definitions, error) {
	d := &definitions{valueSets: map[string]*valueSet{}}
	for _, name := range []string{"profiles-types.json.gz", "profiles-resources.json.gz", "valuesets.json.gz", "v3-codesystems.json.gz", "v2-tables.json.gz", additional} {
		err := readBundle(filepath.Join(dir, name), func(kind string, raw json.RawMessage) error {
			switch kind {
			case "StructureDefinition":
				s := new(structure)
				d.structures = append(d.structures, s)
				return json.Unmarshal(raw, s)
			case "ValueSet":
				v := new(valueSet)
				if err := json.Unmarshal(raw, v); err != nil {
					return err
				}
				d.valueSets[v.URL] = v
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return d, nil
}

// additional is the bundle of resource types that R4 does not have, written for this server.
const additional = "additional.json"

// readBundle calls f for each resource of a JSON Bundle, gzip where its name says so.
func readBundle(path string, f func(kind string, raw json.RawMessage) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var src io.Reader = file
	if filepath.Ext(path) == ".gz" {
		if src, err = gzip.NewReader(file); err != nil {
			return err
		}
	}
	var bundle struct {
		Entry []struct {
			Resource json.RawMessage `json:"resource"`
		} `json:"entry"`
	}
	if err := json.NewDecoder(src).Decode(&bundle); err != nil {
		return err
	}
	for _, e := range bundle.Entry {
		var head struct {
			ResourceType string `json:"resourceType"`
		}
		if err := json.Unmarshal(e.Resource, &head); err != nil {
			return err
		}
		if err := f(head.ResourceType, e.Resource); err != nil {
			return err
		}
	}
	return nil
}
