# What each job's verbs need in the project; a test compares these with the library's own data. Rights to objects, to
# topics and to act as another account are given on these alone. No verb asks for aiplatform.metadataStores.get: Google has
# the account that a run acts as need it, for the run to begin.
locals {
  jobs = {
    deploy = {
      title = "Continuous integration: runs, stages and endpoints"
      permissions = [
        "aiplatform.batchPredictionJobs.cancel",
        "aiplatform.batchPredictionJobs.create",
        "aiplatform.batchPredictionJobs.get",
        "aiplatform.batchPredictionJobs.list",
        "aiplatform.endpoints.create",
        "aiplatform.endpoints.delete",
        "aiplatform.endpoints.deploy",
        "aiplatform.endpoints.get",
        "aiplatform.endpoints.list",
        "aiplatform.endpoints.predict",
        "aiplatform.endpoints.undeploy",
        "aiplatform.endpoints.update",
        "aiplatform.featureGroups.create",
        "aiplatform.featureGroups.get",
        "aiplatform.featureGroups.update",
        "aiplatform.featureOnlineStores.create",
        "aiplatform.featureOnlineStores.get",
        "aiplatform.featureViewSyncs.get",
        "aiplatform.featureViewSyncs.list",
        "aiplatform.featureViews.create",
        "aiplatform.featureViews.fetchFeatureValues",
        "aiplatform.featureViews.get",
        "aiplatform.featureViews.sync",
        "aiplatform.featureViews.update",
        "aiplatform.features.create",
        "aiplatform.features.get",
        "aiplatform.features.list",
        "aiplatform.models.get",
        "aiplatform.models.list",
        "aiplatform.models.update",
        "aiplatform.pipelineJobs.cancel",
        "aiplatform.pipelineJobs.create",
        "aiplatform.pipelineJobs.get",
        "aiplatform.pipelineJobs.list",
        "aiplatform.schedules.create",
        "aiplatform.schedules.delete",
        "aiplatform.schedules.list",
        "aiplatform.schedules.update",
        "bigquery.datasets.create",
        "bigquery.datasets.get",
        "bigquery.jobs.create",
        "bigquery.tables.create",
        "bigquery.tables.get",
        "bigquery.tables.getData",
        "bigquery.tables.list",
        "bigquery.tables.update",
        "bigquery.tables.updateData",
        "logging.logEntries.list",
      ]
    }
    events = {
      title = "Handles events"
      permissions = [
        "aiplatform.models.get",
        "aiplatform.models.list",
        "aiplatform.models.update",
        "aiplatform.pipelineJobs.cancel",
        "aiplatform.pipelineJobs.create",
        "aiplatform.pipelineJobs.get",
        "aiplatform.pipelineJobs.list",
        "logging.logEntries.list",
      ]
    }
    serve = {
      title = "Servers behind endpoints"
      permissions = [
        "aiplatform.featureOnlineStores.get",
        "aiplatform.featureViews.fetchFeatureValues",
        "aiplatform.featureViews.get",
      ]
    }
    train = {
      title = "Steps of runs: train, make features, and have files scored"
      permissions = [
        "aiplatform.batchPredictionJobs.cancel",
        "aiplatform.batchPredictionJobs.create",
        "aiplatform.batchPredictionJobs.get",
        "aiplatform.batchPredictionJobs.list",
        "aiplatform.featureGroups.create",
        "aiplatform.featureGroups.delete",
        "aiplatform.featureGroups.get",
        "aiplatform.featureGroups.update",
        "aiplatform.featureOnlineStores.create",
        "aiplatform.featureOnlineStores.get",
        "aiplatform.featureViewSyncs.get",
        "aiplatform.featureViewSyncs.list",
        "aiplatform.featureViews.create",
        "aiplatform.featureViews.delete",
        "aiplatform.featureViews.directWrite",
        "aiplatform.featureViews.fetchFeatureValues",
        "aiplatform.featureViews.get",
        "aiplatform.featureViews.sync",
        "aiplatform.featureViews.update",
        "aiplatform.features.create",
        "aiplatform.features.get",
        "aiplatform.features.list",
        "aiplatform.metadataStores.get",
        "aiplatform.models.get",
        "aiplatform.models.list",
        "aiplatform.models.update",
        "aiplatform.models.upload",
        "aiplatform.pipelineJobs.get",
        "aiplatform.pipelineJobs.list",
        "bigquery.datasets.create",
        "bigquery.datasets.get",
        "bigquery.jobs.create",
        "bigquery.tables.create",
        "bigquery.tables.delete",
        "bigquery.tables.export",
        "bigquery.tables.get",
        "bigquery.tables.getData",
        "bigquery.tables.list",
        "bigquery.tables.update",
        "bigquery.tables.updateData",
      ]
    }
  }
}
