"""Cloud Bigtable: data and table administration, version 2, over gRPC."""
