// The account with what must not be lost: the app's tables, and the digests of its audit log. It has no usable key. In it, the
// app's identity can read and write rows, and read and append digests. The package and the host's files are in another
// account (host-storage.bicep), so no role on them reaches this one.
param name string
param location string
param tags object

@description('Kind of copies, a SKU of storage accounts.')
param redundancy string

@description('Object id of the app\'s managed identity.')
param principalId string

@description('No address on the internet.')
param privateNetworking bool

@description('Days after its last change during which a digest of the audit log cannot be changed or deleted.')
param auditRetentionDays int

@description('Whether the policy of the audit container has been locked. Azure accepts no update of a locked policy, only extensions.')
param auditPolicyLocked bool

@description('Log Analytics workspace that gets the resource logs.')
param workspaceId string

// The app makes its tables on first use, reads and writes rows.
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    // The ledger that proves which licenses are managed has no other live copy than these.
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

// Soft delete works beside a policy on a container. Versioning is off: an append blob is only ever appended to, and with versions
// a write over a protected blob would succeed as a new version
// (learn.microsoft.com/azure/storage/blobs/immutable-storage-overview).
resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 30
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 30
    }
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource audit 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'audit'
  properties: {
    publicAccess: 'None'
  }
}

// Blocks can be appended, and nothing can be changed or deleted. An administrator of the account can delete an unlocked policy;
// docs/operating.md says how to lock it
// (learn.microsoft.com/azure/storage/blobs/immutable-container-level-worm-policies, "Allow protected append blobs writes").
resource auditPolicy 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-01-01' = if (!auditPolicyLocked) {
  parent: audit
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: auditRetentionDays
    allowProtectedAppendWrites: true
  }
}

// No built-in role appends without also overwriting and deleting: Storage Blob Data Contributor is the least of them
// (learn.microsoft.com/rest/api/storageservices/append-block, "Permissions"). The action `add` makes new blobs and appends blocks, no more
// (learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes, "Create a blob or snapshot, or append data").
resource auditAppender 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(account.id, 'audit appender')
  properties: {
    roleName: 'Audit Blob Appender (${name})'
    description: 'Read blobs, make new ones and append to them; neither overwrite nor delete.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
        notDataActions: []
      }
    ]
  }
}

resource tableRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, storageTableDataContributor)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
  }
}

resource auditRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(audit.id, principalId, 'audit appender')
  scope: audit
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: auditAppender.id
  }
}

// Who wrote to the tables, by object id. Not who read: the app reads all the time, and each log line costs as much as the read.
resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: tables
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

resource auditLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
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

// It keeps the account, not the rows in it (learn.microsoft.com/azure/azure-resource-manager/management/lock-resources).
resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'not-to-be-deleted'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'The ledger proves which licenses the app assigned. docs/operating.md, Uninstall, says how to remove this lock.'
  }
}

output id string = account.id
output name string = account.name
output tablesEndpoint string = account.properties.primaryEndpoints.table
output blobsEndpoint string = account.properties.primaryEndpoints.blob
