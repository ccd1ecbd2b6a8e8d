// The function app on Flex Consumption, its settings and its sign-in.
param name string
param planName string
param location string
param tags object

@description('Resource id of the managed identity, and its client id.')
param identityId string
param identityClientId string

param hostStorageAccountName string
param packageContainerUrl string
param tablesEndpoint string
param serviceBusNamespace string
param applicationInsightsConnectionString string

@description('Client id of the app registration for sign-in; empty: authentication is not switched on, and the app refuses every request but health and Graph\'s.')
param signInClientId string

@description('Client ids of the applications that may call the API, separated by commas; empty: only people on the page are let in.')
param allowedClients string

@description('Addresses from which the package can be published, in CIDR notation, separated by commas; empty: from any, with a sign-in.')
param publishingAddresses string

@description('Guests of the tenant who have a role are let in.')
param allowGuests bool

@description('Ids of the groups whose members HR events may change, separated by commas; empty: HR may change no group. After an upgrade, the groups of existing profiles are accepted for 30 days.')
param onboardingGroups string

@description('Who may send HR events of each source: the source, then client ids of applications or the word queue, parts separated by commas; empty: nobody. After an upgrade, existing senders are accepted for 30 days.')
param onboardingSenders string

param pythonVersion string
param receiveNotifications bool

@description('The setting WRITING.')
param writing string

@description('Settings that differ from the defaults below.')
param changedSettings object

@description('Subnet through which the app reaches other services; empty: none.')
param subnetId string

@description('Log Analytics workspace that gets the resource logs.')
param workspaceId string

param instanceMemoryMB int
param maximumInstanceCount int

// Blanks after commas are allowed, as the app allows them.
var clients = empty(allowedClients) ? [] : split(replace(allowedClients, ' ', ''), ',')
var publishers = empty(publishingAddresses) ? [] : split(replace(publishingAddresses, ' ', ''), ',')

var url = 'https://${name}.azurewebsites.net'

// Addresses that Graph and probes call without a sign-in. Microsoft does not document how the platform matches them
// (MicrosoftDocs/azure-docs issue 86514), so no other route of the app begins like one of them. Graph's
// calls prove themselves by the subscription's secret, health tells nothing but that it runs.
var pathsWithoutSignIn = [
  '/graph/notifications'
  '/graph/lifecycle'
  '/api/health'
]

// What shared/config.py reads. A test holds this map equal to the settings class, local.settings.example.json and docs/reference/settings.md.
var settings = {
  TENANT_ID: tenant().tenantId
  ServiceBusConnection__fullyQualifiedNamespace: serviceBusNamespace
  TablesConnection__endpoint: tablesEndpoint
  TABLE_PREFIX: 'gbl'
  GRAPH_BASE_URL: 'https://graph.microsoft.com/v1.0'
  GRAPH_SCOPE: 'https://graph.microsoft.com/.default'
  AZURE_CLIENT_ID: identityClientId
  API_AUDIENCE: empty(signInClientId) ? '' : 'api://${signInClientId},${signInClientId}'
  ALLOWED_CLIENTS: allowedClients
  ALLOW_GUESTS: allowGuests ? 'true' : 'false'
  DIRECTORY_ROLES: 'Global Administrator=Licensing.Write,Licensing.Approve,Licensing.Configure;License Administrator=Licensing.Write,Licensing.Approve;User Administrator=Licensing.Write,Licensing.Approve;Groups Administrator=Groups.Write;Helpdesk Administrator=Users.Read;Global Reader=Licensing.Read'
  PUBLIC_URL: receiveNotifications ? url : ''
  WRITE_RATE_PER_SECOND: '19.5'
  WRITE_BURST: '30'
  WRITE_WINDOW_LIMIT: '3000'
  WRITE_WINDOW_SECONDS: '150'
  INTERACTIVE_SHARE: '0.2'
  WRITING: writing
  CALLER_READS_PER_MINUTE: '1200'
  CALLER_CHANGES_PER_MINUTE: '60'
  CALLER_PREVIEWS_PER_MINUTE: '300'
  CALLER_HR_EVENTS_PER_MINUTE: '6000'
  CALLER_OPEN_PREVIEWS: '50'
  REMOVAL_WINDOW: 'PT5M'
  REMOVAL_ALLOWANCE_MINIMUM: '20'
  REMOVAL_ALLOWANCE_PERCENT: '2'
  REMOVAL_ALLOWANCE_MAXIMUM: '200'
  TENANT_REMOVAL_ALLOWANCE: '500'
  PROTECTED_PEOPLE: 'on'
  PROTECTED_ACCOUNTS: ''
  PROTECTED_GROUPS: ''
  TWO_PERSON_ABOVE: '50'
  APPROVAL_EXPIRES: 'P30D'
  SINGLE_APPROVER: 'false'
  ONBOARDING_LEAD_TIME: 'P0D'
  ONBOARDING_ACCOUNT_WAIT: 'P14D'
  ONBOARDING_SOURCES: '* arrival UTC'
  ONBOARDING_GROUPS: onboardingGroups
  ONBOARDING_SENDERS: onboardingSenders
  LEAVER_REMOVAL_AFTER: 'P30D'
  LEAVER_MINIMUM_DELAY: 'P1D'
  LEAVER_ALLOWANCE_MINIMUM: '20'
  LEAVER_ALLOWANCE_PERCENT: '1'
  RETENTION: 'P365D'
  PAYLOAD_RETENTION: 'P30D'
  CANARY_GROUP: ''
  CANARY_MEMBER: ''
  CHUNK_SIZE: '20'
}

// What the Functions host and the platform read. No FUNCTIONS_WORKER_RUNTIME, no WEBSITE_RUN_FROM_PACKAGE: Flex
// Consumption takes the runtime from functionAppConfig and refuses them.
var hostSettings = {
  AzureWebJobsStorage__accountName: hostStorageAccountName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  ServiceBusConnection__credential: 'managedidentity'
  ServiceBusConnection__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // The default follows a caller that does not sample its trace, and an alert that counts spans would miss it.
  OTEL_TRACES_SAMPLER: 'always_on'
  // Sign-in proves the app with a token of the managed identity where a client secret would stand
  // (learn.microsoft.com/azure/app-service/configure-authentication-provider-aad, "Use a managed identity").
  OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: identityClientId
  WEBSITE_AUTH_AAD_ALLOWED_TENANTS: tenant().tenantId
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        // The app needs about 10 ms of CPU a changed user: at 18 writes/s a fifth of the core that comes with 2,048 MB,
        // but most of the quarter core of 512 MB. Its processes stay below 200 MB.
        instanceMemoryMB: instanceMemoryMB
        // Not what keeps Graph's quota: the write budget is one row that all instances share. 40 is the least that the
        // platform took when this was written.
        maximumInstanceCount: maximumInstanceCount
        // Graph wants the answer to a notification within 10 s and to the handshake at once; a cold start of Python
        // may take longer. All HTTP triggers scale together as the group `http`.
        alwaysReady: [
          {
            name: 'http'
            instanceCount: 1
          }
        ]
        triggers: {
          http: {
            // Python's default is 1 request an instance, which starts five instances for a page that asks five things.
            // Requests here wait for storage, in one event loop: 16 leave the processor mostly idle.
            perInstanceConcurrency: 16
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
      // Publishing takes a sign-in in any case (below); this also limits from where
      // (learn.microsoft.com/azure/app-service/app-service-ip-restrictions, "Restrict access to an SCM site").
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: empty(publishingAddresses) ? 'Allow' : 'Deny'
      scmIpSecurityRestrictions: [
        for index in range(0, length(publishers)): {
          name: 'publisher-${index}'
          ipAddress: publishers[index]
          action: 'Allow'
          priority: 100 + index
        }
      ]
      appSettings: [
        for setting in items(union(settings, changedSettings, hostSettings)): {
          name: setting.key
          value: setting.value
        }
      ]
    }
  }
}

// Passwords for publishing exist on every site unless refused; azd deploys with the deployer's own sign-in.
resource ftpPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource signIn 'Microsoft.Web/sites/config@2024-11-01' = if (!empty(signInClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
      runtimeVersion: '~1'
    }
    globalValidation: {
      requireAuthentication: true
      // The page of the app is for people: who comes without a session is sent to sign in. Scripts send a token.
      unauthenticatedClientAction: 'RedirectToLoginPage'
      redirectToProvider: 'azureActiveDirectory'
      excludedPaths: pathsWithoutSignIn
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: signInClientId
          clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            'api://${signInClientId}'
            signInClientId
          ]
          // The app checks the client application of each token again. A sign-in on the page is of the registration itself
          // (learn.microsoft.com/azure/app-service/configure-authentication-provider-aad, "Use a built-in authorization policy").
          defaultAuthorizationPolicy: {
            allowedApplications: union([signInClientId], clients)
          }
        }
      }
    }
    login: {
      tokenStore: {
        // The app reads claims, never the person's tokens: none are kept.
        enabled: false
      }
      cookieExpiration: {
        convention: 'FixedTime'
        timeToExpiration: '08:00:00'
      }
    }
    httpSettings: {
      requireHttps: true
    }
  }
}

// Rejected sign-ins of the platform, and the host's own log, which tells of starts and keys. The lines of requests are left out:
// they have names and addresses of people.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AppServiceAuthenticationLogs'
        enabled: true
      }
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}

output name string = app.name
output url string = url
