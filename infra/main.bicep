// One environment in one subscription: a resource group, and in it everything the app needs. No secret is made, kept or
// handed out: whoever talks to another service does so with the managed identity `id-...`.
targetScope = 'subscription'

@description('Name of the environment; part of every resource name and of the tag azd finds them by.')
@minLength(2)
@maxLength(20)
param environmentName string

@description('Region of all resources; one with Flex Consumption.')
param location string

@description('Application (client) id of the app registration for sign-in. Empty at the first deployment: then the HTTP API answers nobody.')
param signInClientId string = ''

@description('Client ids of the applications that may call the API with an access token, separated by commas. Empty: only people on the page are let in.')
param allowedClients string = ''

@description('Addresses from which the package can be published, in CIDR notation, separated by commas. Empty: from any address, with a sign-in.')
param publishingAddresses string = ''

@description('Ids of the groups whose members HR events may change, or administrativeUnit: and the id of a unit, separated by commas; empty: HR may change no group.')
param onboardingGroups string = ''

@description('Who may send HR events of each source: the source, then client ids of applications, object ids of people or the word queue, parts separated by commas; empty: nobody.')
param onboardingSenders string = ''

@description('Let in guests of the tenant who have a role.')
param allowGuests bool = false

@description('Who gets the alerts. Empty: alerts are raised and shown in Azure Monitor, but sent to nobody.')
param alertMail string = ''

@description('Python of the function app. `az functionapp list-flexconsumption-runtimes` says what the region has.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string = '3.13'

@description('Have Graph tell the app of changes of membership. Off: changes are found by delta and the nightly sync only.')
param receiveNotifications bool = true

@description('Memory of an instance in MB; a quarter of a core, one core or two cores come with it.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances of the app. Writes are paced by the app itself, whatever this says.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Copies of the storage accounts: in three zones where the region has them, else in one place.')
@allowed(['Standard_ZRS', 'Standard_LRS', 'Standard_GZRS', 'Standard_GRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('Days after its last change during which a digest of the audit log cannot be changed or deleted.')
@minValue(31)
@maxValue(3660)
param auditRetentionDays int = 365

@description('Set once the immutability policy of the audit log has been locked: Azure accepts no update of a locked policy.')
param auditPolicyLocked bool = false

@description('Reach storage and Service Bus by private endpoints only. Takes Service Bus Premium, whose price does not follow use.')
param privateNetworking bool = false

@description('Address space of the network where networking is private, a /24.')
param networkAddressPrefix string = '10.142.0.0/24'

@description('Whether the app writes to Graph: `on`, `initially-off` until an administrator turns it on, or `off` whatever an administrator has set.')
@allowed(['on', 'initially-off', 'off'])
param writing string = 'initially-off'

@description('Settings of the app that differ from those in modules/app.bicep: name and value, both texts.')
param changedSettings object = {}

@description('Tags of every resource.')
param tags object = {}

var token = toLower(uniqueString(subscription().id, environmentName, location))
var allTags = union(tags, {
  'azd-env-name': environmentName
  application: 'group-based-licensing'
})

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-${environmentName}-${token}'
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-${environmentName}-${token}'
    componentName: 'appi-${environmentName}-${token}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    retentionDays: logRetentionDays
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${token}'
    redundancy: storageRedundancy
    privateNetworking: privateNetworking
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    auditRetentionDays: auditRetentionDays
    auditPolicyLocked: auditPolicyLocked
    workspaceId: monitoring.outputs.workspaceId
  }
}

module hostStorage 'modules/host-storage.bicep' = {
  name: 'hostStorage'
  scope: group
  params: {
    name: 'sthost${token}'
    redundancy: storageRedundancy
    privateNetworking: privateNetworking
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'modules/servicebus.bicep' = {
  name: 'serviceBus'
  scope: group
  params: {
    name: 'sb-${environmentName}-${token}'
    privateNetworking: privateNetworking
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-${environmentName}-${token}'
    location: location
    tags: allTags
    storageAccountId: storage.outputs.id
    hostStorageAccountId: hostStorage.outputs.id
    serviceBusId: serviceBus.outputs.id
    addressPrefix: networkAddressPrefix
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    name: 'func-${environmentName}-${token}'
    planName: 'plan-${environmentName}-${token}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    hostStorageAccountName: hostStorage.outputs.name
    packageContainerUrl: hostStorage.outputs.packageContainerUrl
    tablesEndpoint: storage.outputs.tablesEndpoint
    serviceBusNamespace: serviceBus.outputs.fullyQualifiedNamespace
    applicationInsightsConnectionString: monitoring.outputs.connectionString
    signInClientId: signInClientId
    allowedClients: allowedClients
    onboardingGroups: onboardingGroups
    onboardingSenders: onboardingSenders
    allowGuests: allowGuests
    publishingAddresses: publishingAddresses
    pythonVersion: pythonVersion
    receiveNotifications: receiveNotifications
    writing: writing
    changedSettings: changedSettings
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    prefix: environmentName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
    mail: alertMail
    receiveNotifications: receiveNotifications
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output AZURE_TENANT_ID string = tenant().tenantId
output APP_NAME string = app.outputs.name
output APP_URL string = app.outputs.url
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output IDENTITY_CLIENT_ID string = identity.outputs.clientId
output SERVICE_BUS_NAMESPACE string = serviceBus.outputs.fullyQualifiedNamespace
output STORAGE_ACCOUNT string = storage.outputs.name
output HOST_STORAGE_ACCOUNT string = hostStorage.outputs.name
output AUDIT_ENDPOINT string = storage.outputs.blobsEndpoint
output LOG_WORKSPACE_ID string = monitoring.outputs.workspaceId
