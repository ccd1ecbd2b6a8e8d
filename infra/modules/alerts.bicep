// What a person is called for. Each rule rests on something Azure measures or the app says today; docs/operating.md has
// the meaning and the steps for each, under the rule's name.
param prefix string
param location string
param tags object
param workspaceId string
param serviceBusId string

@description('Who gets the alerts; empty: nobody, the rules still show in Azure Monitor.')
param mail string

param receiveNotifications bool

// Severity: 1 somebody should look today, 2 within two days, 3 when there is time. Each window is longer than the time
// between two looks, since lines arrive minutes late; a rule that fires already does not fire twice. Names of requests
// are those of the app's own spans: in OpenTelemetry mode the platform tells of functions by HTTP and Service Bus only
// (learn.microsoft.com/azure/azure-functions/opentelemetry-howto, "Considerations").
var logRules = [
  {
    name: 'message-given-up'
    description: 'The app kept a message as a dead letter: it could make nothing of it, or gave up.'
    severity: 1
    enabled: true
    frequency: 'PT5M'
    window: 'PT15M'
    query: 'AppTraces | where Message has "kept as a dead letter"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'work-waits-long'
    description: 'Work was put off eight times or more, over four minutes: a service is away, throttles, or refuses a permission.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "work from " | extend Times = toint(extract(@"\\(time (\\d+)\\)", 1, Message)) | where Times >= 8'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'operation-stuck'
    description: 'The watchdog sent the step of an operation or a move again three times within an hour: something keeps it from going on.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT1H'
    query: 'AppTraces | where Message has "stood still in phase" or Message startswith "move stood still"'
    operator: 'GreaterThan'
    threshold: 2
  }
  {
    name: 'graph-throttles'
    description: 'Graph refused writes ten times in half an hour for want of quota: another app uses it up, or our rate is too high.'
    severity: 3
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "Graph throttles writes for"'
    operator: 'GreaterThan'
    threshold: 9
  }
  {
    name: 'seats-short'
    description: 'People wait for a seat of a product that has none free.'
    severity: 3
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "seats are short"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'seats-low'
    description: 'A product that groups give has no more than five seats or 2 % of them left.'
    severity: 3
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "seats are low"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'watched-groups-errors'
    description: 'Members of natively licensed groups have license errors. Microsoft sends no alert for them.'
    severity: 3
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "watched groups have errors"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'watched-groups-not-read'
    description: 'Natively licensed groups have not been read for three hours.'
    severity: 2
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "watched groups are not read"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'assumption-changed'
    description: 'Microsoft Graph behaves in a way that the first-contact check had not seen before in this tenant.'
    severity: 3
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "an assumption about Graph no longer holds"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'clock-wrong'
    description: 'The clock of a machine differs from Microsoft Graph by more than 30 s: pending removals can wait longer.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "the clock is wrong"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'changes-not-read'
    description: 'Delta queries have not come to an end for an hour: what no notification tells is found at night only.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "changes of groups have not been read since"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'approval-waits'
    description: 'Somebody has to decide about removals, for over three days.'
    severity: 3
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "approvals wait for a person"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'move-waits'
    description: 'A move between native and direct licensing has been paused, or waited for an approval, for over three days.'
    severity: 3
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "moves wait for a person"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'hr-limited'
    description: 'HR uses groups or sources that the settings do not name: they are rejected, or will be when the 30 days after an upgrade end.'
    severity: 2
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "HR is limited"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'protected-people-not-read'
    description: 'The list of protected people could not be read: the last one stays in force, and without one all removals wait.'
    severity: 2
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "the list of protected people"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'single-approver'
    description: 'With SINGLE_APPROVER, one person approved what two should have approved.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "single approver: approved alone"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'requests-rejected'
    description: 'One caller was rejected 100 times in half an hour.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "request rejected" | extend Caller = extract(@"caller=(\\S+)", 1, Message), Count = toint(extract(@"count=(\\d+)", 1, Message)) | summarize Rejected = sum(Count) by Caller | where Rejected >= 100'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'removals-approved'
    description: 'A person approved removals or leavers.'
    severity: 3
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "audit " | extend Activity = extract(@"activity=.([^\\x22]*)", 1, Message) | where Activity startswith "Approve "'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'profile-changed'
    description: 'A profile of HR onboarding was changed: it decides into which groups people come.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "audit " | extend Activity = extract(@"activity=.([^\\x22]*)", 1, Message) | where Activity has "onboarding profile"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'mass-removal'
    description: 'A hundred people or more lost licenses within an hour.'
    severity: 1
    enabled: true
    frequency: 'PT15M'
    window: 'PT1H'
    query: 'AppTraces | where Message startswith "audit " | extend Activity = extract(@"activity=.([^\\x22]*)", 1, Message) | where Activity == "Change user license" | extend Removed = toint(extract(@"removed=.(\\d+)", 1, Message)), User = extract(@" user=.([0-9a-f-]+)", 1, Message) | where Removed > 0 | summarize People = dcount(User) | where People >= 100'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'audit-digest-failed'
    description: 'An hour of the audit log could not be closed: its entries have no proof yet.'
    severity: 2
    enabled: true
    frequency: 'PT30M'
    window: 'PT1H'
    query: 'AppTraces | where Message startswith "audit digest failed"'
    operator: 'GreaterThan'
    threshold: 1
  }
  {
    name: 'functions-fail'
    description: 'More than one invocation in twenty failed, and at least ten: the error share.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppRequests | summarize Failed = countif(Success == false), Total = count() | where Failed >= 10 and Failed * 20 > Total'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'people-in-error'
    description: 'Of the people looked at within half an hour at least twenty, and more than one in twenty, ended in error.'
    severity: 2
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppMetrics | where Name == "licensing.members" | summarize Failed = sumif(Sum, tostring(Properties.outcome) == "Failed"), Total = sum(Sum) | where Failed >= 20 and Failed * 20 > Total'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'app-stands-still'
    description: 'The watchdog, which runs every five minutes, did not end well once in half an hour: operations that are stuck stay so.'
    severity: 1
    enabled: true
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppRequests | where Name == "timer watchdog" and Success == true'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'night-missed'
    description: 'Not one nightly sync, with the deletions that follow it, ended well in two days.'
    severity: 2
    enabled: true
    frequency: 'PT1H'
    window: 'P2D'
    query: 'AppRequests | where Name == "timer forget old" and Success == true'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'subscription-not-kept'
    description: 'The timer that keeps the subscription to changes failed three times within an hour: Graph refuses, or is away.'
    severity: 2
    enabled: receiveNotifications
    frequency: 'PT15M'
    window: 'PT1H'
    query: 'AppRequests | where Name == "timer renew subscription" and Success == false'
    operator: 'GreaterThan'
    threshold: 2
  }
  {
    name: 'subscription-expires'
    description: 'The subscription to changes ends within ten days and was not renewed, or there is none.'
    severity: 1
    enabled: receiveNotifications
    frequency: 'PT15M'
    window: 'PT30M'
    query: 'AppTraces | where Message startswith "the subscription to changes is about to expire"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'canary-overdue'
    description: 'A change of the canary group did not arrive by notification and delta.'
    severity: 2
    enabled: true
    frequency: 'PT1H'
    window: 'PT2H'
    query: 'AppTraces | where Message startswith "canary group: its change did not arrive"'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'subscription-silent'
    description: 'No notification of Graph in a day. Usual in a small or quiet tenant; elsewhere the subscription is lost or blocked.'
    severity: 3
    enabled: receiveNotifications
    frequency: 'PT1H'
    window: 'P1D'
    query: 'AppRequests | where Name == "Graph notification" and Success == true'
    operator: 'LessThan'
    threshold: 1
  }
]

// Queues whose length the app keeps small by itself: an operation releases a few dozen chunks at a time. `jobs` is not
// among them, since others may put thousands in at once.
var shortQueues = ['operations', 'members', 'members-bulk', 'notifications']

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(mail)) {
  name: 'ag-${prefix}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'licensing'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: mail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-dead-letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'A queue has dead letters: a function failed ten times with the same message, or nobody took it for 14 days.'
    severity: 1
    enabled: true
    scopes: [serviceBusId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'dead-letters'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'DeadletteredMessages'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 0
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: ['*']
            }
          ]
        }
      ]
    }
    actions: empty(mail) ? [] : [{ actionGroupId: people.id }]
  }
}

resource backlog 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-backlog'
  location: 'global'
  tags: tags
  properties: {
    description: 'A queue that is short by design stayed long for half an hour: functions do not run, or not fast enough.'
    severity: 2
    enabled: true
    scopes: [serviceBusId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT30M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'backlog'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'ActiveMessages'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          timeAggregation: 'Minimum'
          operator: 'GreaterThan'
          threshold: 500
          dimensions: [
            {
              name: 'EntityName'
              operator: 'Include'
              values: shortQueues
            }
          ]
        }
      ]
    }
    actions: empty(mail) ? [] : [{ actionGroupId: people.id }]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in logRules: {
    name: '${prefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${prefix}: ${rule.name}'
      description: rule.description
      severity: rule.severity
      enabled: rule.enabled
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      autoMitigate: true
      // The tables come with the first telemetry; without this the first deployment would fail for the lack of them.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: empty(mail) ? [] : [people.id]
      }
    }
  }
]
