// The account of the Functions host: its leases and the app's keys, and the deployment package. Nothing in it is worth a
// backup: `azd deploy` uploads the package again, and the host makes the rest. It has no usable key.
param name string
param location string
param tags object

@description('Kind of copies, a SKU of storage accounts.')
param redundancy string

@description('Object id of the app\'s managed identity.')
param principalId string

@description('No address on the internet.')
param privateNetworking bool

@description('Log Analytics workspace that gets the resource logs.')
param workspaceId string

// The host writes its leases for timers and the keys of the app there, and reads the deployment package; its
// documentation asks for Owner, not Contributor (learn.microsoft.com/azure/azure-functions/functions-reference,
// "Connecting to host storage with an identity"). There is no blob or queue trigger, so no role on queues.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    // Not of blobs: the host renews its leases all the time, and each former state would be kept.
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 30
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'app-package'
  properties: {
    publicAccess: 'None'
  }
}

resource blobRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, storageBlobDataOwner)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

// Who replaced the package: it is the code that runs with the identity's permissions.
resource packageLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output packageContainerUrl string = '${account.properties.primaryEndpoints.blob}${packages.name}'
