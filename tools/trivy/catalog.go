package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	cdx "github.com/CycloneDX/cyclonedx-go"
	config "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/wheelegg"
	"github.com/google/osv-scalibr/extractor/filesystem/os/dpkg"
	dpkgmetadata "github.com/google/osv-scalibr/extractor/filesystem/os/dpkg/metadata"
	"github.com/google/osv-scalibr/extractor/filesystem/os/osrelease"
	scalibrfs "github.com/google/osv-scalibr/fs"
	"github.com/google/osv-scalibr/plugin"
	"github.com/google/osv-scalibr/stats"
)

// catalog prints what is installed below a folder: Debian's packages and Python's.
func catalog(ctx context.Context, root string) error {
	absolute, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	var extractors []filesystem.Extractor
	for _, create := range []func(*config.PluginConfig) (filesystem.Extractor, error){dpkg.New, wheelegg.New} {
		extractor, err := create(&config.PluginConfig{})
		if err != nil {
			return err
		}
		extractors = append(extractors, extractor)
	}
	found, statuses, err := filesystem.Run(ctx, &filesystem.Config{
		Extractors: extractors,
		ScanRoots:  scalibrfs.RealFSScanRoots(absolute),
		Stats:      stats.NoopCollector{},
	})
	if err != nil {
		return err
	}
	for _, each := range statuses {
		// A package that cannot be read is one that nobody looks up.
		if each.Status.Status != plugin.ScanStatusSucceeded {
			return fmt.Errorf("%s: %s", each.Name, each.Status)
		}
	}
	bom := cdx.NewBOM()
	components := []cdx.Component{}
	if release, err := osrelease.GetOSRelease(scalibrfs.DirFS(absolute)); err == nil {
		components = append(components, cdx.Component{
			BOMRef: "os", Type: cdx.ComponentTypeOS, Name: release["ID"], Version: release["VERSION_ID"],
		})
	}
	seen := map[string]bool{}
	for _, each := range found.Packages {
		next := component(each)
		// Two environments may have the same package: one name in a bill of materials is one thing.
		if !seen[next.BOMRef] {
			components = append(components, next)
		}
		seen[next.BOMRef] = true
	}
	bom.Components = &components
	return cdx.NewBOMEncoder(os.Stdout, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

func component(of *extractor.Package) cdx.Component {
	purl := of.PURL().String()
	properties := []cdx.Property{}
	if debian, ok := of.Metadata.(*dpkgmetadata.Metadata); ok {
		source, version := debian.SourceName, debian.SourceVersion
		if source == "" {
			source = debian.PackageName
		}
		if version == "" {
			version = debian.PackageVersion
		}
		// Debian's advisories name sources, and these are the names that Trivy's decoder knows.
		properties = append(properties,
			cdx.Property{Name: "aquasecurity:trivy:SrcName", Value: source},
			cdx.Property{Name: "aquasecurity:trivy:SrcVersion", Value: version})
	}
	return cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: of.Name, Version: of.Version,
		PackageURL: purl, Properties: &properties,
	}
}
