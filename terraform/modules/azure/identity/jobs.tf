# What each job does is told by the library: which actions its verbs need, and of what. A test compares the two, and fails
# when the library needs what is not granted here, or when nothing needs what is.
locals {
  _ml    = "Microsoft.MachineLearningServices/workspaces"
  _store = "${local._ml}/datastores/read"
  _code = [
    "${local._ml}/codes/versions/read",
    "${local._ml}/codes/versions/startPendingUpload/action",
    "${local._ml}/codes/versions/write",
  ]
  _models = [
    "${local._ml}/models/read",
    "${local._ml}/models/versions/read",
    "${local._ml}/models/versions/write",
  ]
  _sources = [
    "${local._ml}/data/read",
    "${local._ml}/data/versions/read",
  ]
  _submits = [
    "${local._ml}/experiments/runs/submit/action",
    "${local._ml}/jobs/read",
    "${local._ml}/jobs/write",
    "${local._ml}/read",
  ]
  # What is too large for one machine is joined by a job of Spark, which is cancelled when it takes too long.
  _joins = concat(local._submits, local._code, ["${local._ml}/jobs/cancel/action"])
  _runs = concat(local._code, local._submits, [
    "${local._ml}/components/versions/write",
    "${local._ml}/computes/read",
    "${local._ml}/environments/read",
    "${local._ml}/environments/versions/write",
    "${local._ml}/experiments/runs/read",
  ])
  _batches = [
    "${local._ml}/batchEndpoints/deployments/delete",
    "${local._ml}/batchEndpoints/deployments/read",
    "${local._ml}/batchEndpoints/deployments/write",
    "${local._ml}/batchEndpoints/jobs/write",
    "${local._ml}/batchEndpoints/read",
    "${local._ml}/batchEndpoints/write",
  ]
  _features = [
    local._store,
    "${local._ml}/featuresets/read",
    "${local._ml}/featuresets/write",
    "${local._ml}/featurestoreentities/read",
    "${local._ml}/featurestoreentities/write",
  ]
  # Policies ask who holds the role `approver` when a version is promoted, and `check_access` what the caller holds.
  _sees_roles = [
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Authorization/roleDefinitions/read",
  ]

  jobs = {
    # A step of a run: makes features and training tables, registers what it trained, has files scored, and begins with
    # what earlier runs have left.
    train = {
      workspace = concat([local._store], local._models, local._sources, local._joins, local._batches, [
        "${local._ml}/computes/read",
        "${local._ml}/environments/versions/write",
        "${local._ml}/experiments/runs/read",
      ])
      group     = []
      container = "Storage Blob Data Contributor"
      features  = local._features
      images    = "AcrPull"
      topic     = ["EventGrid Data Sender"]
    }
    # The server behind an endpoint: looks features up. Azure ML fetches its image and its model as the same identity.
    serve = {
      workspace = [local._store]
      group     = []
      container = "Storage Blob Data Reader"
      features  = []
      images    = "AcrPull"
      topic     = []
    }
    # Continuous integration: applies what is defined, starts runs, moves models to stages and onto endpoints.
    deploy = {
      workspace = concat([local._store], local._models, local._sources, local._runs, local._batches, [
        "${local._ml}/jobs/cancel/action",
        "${local._ml}/onlineEndpoints/delete",
        "${local._ml}/onlineEndpoints/deployments/delete",
        "${local._ml}/onlineEndpoints/deployments/getLogs/action",
        "${local._ml}/onlineEndpoints/deployments/read",
        "${local._ml}/onlineEndpoints/deployments/write",
        "${local._ml}/onlineEndpoints/read",
        "${local._ml}/onlineEndpoints/score/action",
        "${local._ml}/onlineEndpoints/write",
        "${local._ml}/schedules/delete",
        "${local._ml}/schedules/read",
        "${local._ml}/schedules/write",
      ])
      group = concat(local._sees_roles, [
        "Microsoft.Insights/autoscaleSettings/delete",
        "Microsoft.Insights/autoscaleSettings/write",
      ])
      container = "Storage Blob Data Contributor"
      features  = local._features
      images    = null # they are built and pushed by hand
      topic     = ["EventGrid Data Sender"]
    }
    # Who handles events: retrains, and moves what passed its gate to a stage.
    events = {
      workspace = concat([local._store], local._models, local._runs)
      group     = local._sees_roles
      container = "Storage Blob Data Contributor"
      features  = []
      images    = "AcrPull"
      topic     = ["EventGrid Data Receiver", "EventGrid Data Sender"]
    }
  }
}
