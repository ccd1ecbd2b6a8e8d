// The queues, as ../servicebus-config.json declares them: the same file configures the emulator of the one-machine stack,
// so that what was tested is what is deployed. Standard has duplicate detection and scheduled messages, Basic has neither;
// private endpoints need Premium.
param name string
param location string
param tags object

@description('Object id of the app\'s managed identity.')
param principalId string

@description('Premium, and no address on the internet.')
param privateNetworking bool

@description('Log Analytics workspace that gets the resource logs.')
param workspaceId string

var declared = loadJsonContent('../servicebus-config.json').UserConfig.Namespaces[0].Queues

// Sending and receiving, and reading the length of a queue, which the platform's scaling does as this identity and which
// takes Manage: with Sender and Receiver alone scaling falls back to guessing
// (learn.microsoft.com/azure/azure-functions/functions-target-based-scaling).
var serviceBusDataOwner = '090c5cfd-751d-490a-894a-3ce6f1109419'

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: privateNetworking ? 'Premium' : 'Standard'
    tier: privateNetworking ? 'Premium' : 'Standard'
    capacity: privateNetworking ? 1 : 0
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
  }
}

resource queues 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [
  for queue in declared: {
    parent: namespace
    name: queue.Name
    properties: {
      lockDuration: queue.Properties.LockDuration
      maxDeliveryCount: queue.Properties.MaxDeliveryCount
      requiresDuplicateDetection: queue.Properties.RequiresDuplicateDetection
      duplicateDetectionHistoryTimeWindow: queue.Properties.DuplicateDetectionHistoryTimeWindow
      defaultMessageTimeToLive: queue.Properties.DefaultMessageTimeToLive
      deadLetteringOnMessageExpiration: queue.Properties.DeadLetteringOnMessageExpiration
      requiresSession: queue.Properties.RequiresSession
      // A group of 500,000 releases a few dozen chunks at a time; the largest size costs nothing until it is used.
      maxSizeInMegabytes: 5120
    }
  }
]

resource owner 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace.id, principalId, serviceBusDataOwner)
  scope: namespace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', serviceBusDataOwner)
  }
}

// Management of queues; on Premium also who sent and received, which Standard does not log
// (learn.microsoft.com/azure/service-bus-messaging/monitor-service-bus-reference, "Resource logs").
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in privateNetworking ? ['OperationalLogs', 'RuntimeAuditLogs'] : ['OperationalLogs']: {
        category: category
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'not-to-be-deleted'
  scope: namespace
  properties: {
    level: 'CanNotDelete'
    notes: 'Messages under way are lost with the namespace. docs/operating.md, Uninstall, says how to remove this lock.'
  }
}

output id string = namespace.id
output fullyQualifiedNamespace string = '${namespace.name}.servicebus.windows.net'
