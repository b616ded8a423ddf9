// The OpenTelemetry Collector as a gateway: receives OTLP, writes to OpenSearch.
package main

import (
	"os"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/failoverconnector"
	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/opensearchexporter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

func main() {
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otel-opensearch-gateway", Version: "0.128.0"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory()},
				DefaultScheme:     "env",
			},
		},
	})
	if command.Execute() != nil {
		os.Exit(1) // the command has said why
	}
}

func factories() (otelcol.Factories, error) {
	return otelcol.Factories{
		Receivers:  one[receiver.Factory](otlpreceiver.NewFactory()),
		Processors: one[processor.Factory](memorylimiterprocessor.NewFactory()),
		Exporters:  one[exporter.Factory](opensearchexporter.NewFactory()),
		Connectors: one[connector.Factory](failoverconnector.NewFactory()),
		Extensions: one[extension.Factory](healthcheckextension.NewFactory()),
	}, nil
}

func one[F component.Factory](factory F) map[component.Type]F {
	return map[component.Type]F{factory.Type(): factory}
}
