// Private networking: the app reaches storage and Service Bus by private endpoints in a network of its own, and neither
// has an address on the internet any more. The app itself keeps its public address: Graph must reach it.
param name string
param location string
param tags object

param storageAccountId string
param hostStorageAccountId string
param serviceBusId string

@description('Address space of the network, a /24; nothing else may be in it.')
param addressPrefix string

// One zone for each kind of service, by the names that the services' addresses resolve to
// (learn.microsoft.com/azure/private-link/private-endpoint-dns).
var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink.servicebus.windows.net'
]

// `zone`: the place of its zone among the names above.
var endpoints = [
  {
    name: 'blob'
    service: 'blob'
    zone: 0
    target: storageAccountId
  }
  {
    name: 'host'
    service: 'blob'
    zone: 0
    target: hostStorageAccountId
  }
  {
    name: 'table'
    service: 'table'
    zone: 1
    target: storageAccountId
  }
  {
    name: 'namespace'
    service: 'namespace'
    zone: 2
    target: serviceBusId
  }
]

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          // Flex Consumption takes an address an instance, and asks for this delegation
          // (learn.microsoft.com/azure/azure-functions/flex-consumption-how-to, "Enable virtual network integration").
          addressPrefix: cidrSubnet(addressPrefix, 25, 0)
          delegations: [
            {
              name: 'app'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 27, 4)
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zoneName in zoneNames: {
    name: zoneName
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for index in range(0, length(zoneNames)): {
    parent: zones[index]
    name: name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource doors 'Microsoft.Network/privateEndpoints@2024-07-01' = [
  for endpoint in endpoints: {
    name: 'pe-${endpoint.name}-${name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: '${network.id}/subnets/endpoints'
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: endpoint.target
            groupIds: [endpoint.service]
          }
        }
      ]
    }
  }
]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [
  for index in range(0, length(endpoints)): {
    parent: doors[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoints[index].service
          properties: {
            privateDnsZoneId: zones[endpoints[index].zone].id
          }
        }
      ]
    }
  }
]

output appSubnetId string = '${network.id}/subnets/app'
