// trivy-match asks Trivy's own detectors about a bill of materials, and about nothing else.
//
//	trivy-match DIR < bom.json > matches.json     the known vulnerabilities of its components
//	trivy-match catalog ROOT > bom.json           Debian's and Python's packages below a folder
//	trivy-match load DIR FILE...                  make a database from Trivy's fixture format
//
// DIR holds trivy.db and metadata.json as `trivy image --download-db-only` leaves them. The whole
// of Trivy is 3,091 packages, most of them for clouds, registries and Kubernetes; this is 587.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	fixtures "github.com/aquasecurity/bolt-fixtures"
	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/metadata"
	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy/pkg/detector/library"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg"
	"github.com/aquasecurity/trivy/pkg/log"
	"github.com/aquasecurity/trivy/pkg/sbom/cyclonedx"
	sbomio "github.com/aquasecurity/trivy/pkg/sbom/io"
	"github.com/aquasecurity/trivy/pkg/types"
	"github.com/aquasecurity/trivy/pkg/vulnerability"
	bolt "go.etcd.io/bbolt"
)

// answer is what is printed.
type answer struct {
	// Updated is the day that the database was made.
	Updated time.Time
	// Compared counts the components that a detector looked at.
	Compared int
	// EndOfLife: the operating system gets no more fixes.
	EndOfLife       bool
	Vulnerabilities []types.DetectedVulnerability
}

func main() {
	log.InitLogger(false, true)
	var err error
	switch {
	case len(os.Args) == 2:
		err = match(context.Background(), os.Args[1])
	case len(os.Args) == 3 && os.Args[1] == "catalog":
		err = catalog(context.Background(), os.Args[2])
	case len(os.Args) > 3 && os.Args[1] == "load":
		err = load(os.Args[2], os.Args[3:])
	default:
		err = errors.New("usage: trivy-match DIR < bom.json | catalog ROOT | load DIR FILE...")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func match(ctx context.Context, dir string) error {
	made, err := open(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	bom, err := decode(ctx)
	if err != nil {
		return err
	}
	out := answer{Updated: made.UpdatedAt, Vulnerabilities: []types.DetectedVulnerability{}}
	for _, application := range bom.Applications {
		found, err := library.Detect(ctx, application.Type, application.Packages)
		if err != nil {
			return err
		}
		out.Vulnerabilities = append(out.Vulnerabilities, found...)
		out.Compared += len(application.Packages)
	}
	for _, system := range bom.Packages {
		if bom.Metadata.OS == nil {
			return errors.New("there are packages of an operating system, and no operating system")
		}
		detector, err := ospkg.NewDetector(types.ScanTarget{OS: *bom.Metadata.OS, Packages: system.Packages})
		if err != nil {
			return fmt.Errorf("%s %s: %w", bom.Metadata.OS.Family, bom.Metadata.OS.Name, err)
		}
		found, endOfLife, err := detector.Detect(ctx)
		if err != nil {
			return err
		}
		out.Vulnerabilities = append(out.Vulnerabilities, found...)
		out.Compared += len(system.Packages)
		out.EndOfLife = endOfLife
	}
	// As Trivy does unless told: the vendor whose advisory it is, then NVD.
	automatic := []dbtypes.SourceID{"auto"}
	vulnerability.NewClient(db.Config{}).FillInfo(out.Vulnerabilities, automatic)
	return json.NewEncoder(os.Stdout).Encode(out)
}

func decode(ctx context.Context) (types.SBOM, error) {
	var bom cyclonedx.BOM
	var sbom types.SBOM
	if err := json.NewDecoder(os.Stdin).Decode(&bom); err != nil {
		return sbom, err
	}
	err := sbomio.NewDecoder(bom.BOM).Decode(ctx, &sbom)
	return sbom, err
}

// open opens the database without writing to it; a missing one is not made.
func open(dir string) (metadata.Metadata, error) {
	made, err := metadata.NewClient(dir).Get()
	if err != nil {
		return made, err
	}
	if made.Version != db.SchemaVersion {
		return made, fmt.Errorf("%s: schema %d, where %d is read", metadata.Path(dir), made.Version, db.SchemaVersion)
	}
	if _, err := os.Stat(db.Path(dir)); err != nil {
		return made, err
	}
	return made, db.Init(dir, db.WithBoltOptions(&bolt.Options{ReadOnly: true}))
}

func load(dir string, files []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	loader, err := fixtures.New(db.Path(dir), files)
	if err != nil {
		return err
	}
	if err := loader.Load(); err != nil {
		return err
	}
	if err := loader.Close(); err != nil {
		return err
	}
	now := time.Now().UTC()
	return metadata.NewClient(dir).Update(metadata.Metadata{
		Version: db.SchemaVersion, UpdatedAt: now, DownloadedAt: now, NextUpdate: now.Add(24 * time.Hour),
	})
}
