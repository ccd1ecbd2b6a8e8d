"""The organization itself and what it has bought."""

from __future__ import annotations

from typing import Any

from local.tenant.call import GRAPH, Call, Reply, bad_request, denied, not_found
from local.tenant.directory.model import Subscription
from local.tenant.graph.directory_view import DirectoryView, view_of
from local.tenant.graph.query import check_options, selected
from local.tenant.identity.permissions import ORGANIZATION_WHOLE
from local.tenant.tenant import Tenant

_COUNTRIES = {"DE": "Germany", "AT": "Austria", "CH": "Switzerland", "US": "United States", "FR": "France"}

_SPARSE = ("id", "displayName", "verifiedDomains")

_ORGANIZATION_NULLS = (
    "deletedDateTime", "city", "onPremisesLastSyncDateTime", "onPremisesSyncEnabled", "partnerTenantType",
    "postalCode", "preferredLanguage", "privacyProfile", "state", "street", "defaultUsageLocation",
)  # fmt: skip

_ORGANIZATION_EMPTY = (
    "assignedPlans", "businessPhones", "marketingNotificationEmails", "provisionedPlans",
    "securityComplianceNotificationMails", "securityComplianceNotificationPhones", "technicalNotificationMails",
)  # fmt: skip

_SKU_PROPERTIES = (
    "id", "accountId", "accountName", "appliesTo", "capabilityStatus", "consumedUnits", "prepaidUnits",
    "servicePlans", "skuId", "skuPartNumber", "subscriptionIds",
)  # fmt: skip


def organization(tenant: Tenant, call: Call) -> Reply:
    """GET /organization: a collection of one."""
    shown, columns = _organization(tenant, call)
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#organization{columns}", "value": [shown]})


def one_organization(tenant: Tenant, call: Call) -> Reply:
    """GET /organization/{tenantId}"""
    shown, columns = _organization(tenant, call)
    if call.segments[1].lower() != tenant.directory.tenant_id:
        raise not_found(call.segments[1])
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#organization{columns}/$entity", **shown})


def _organization(tenant: Tenant, call: Call) -> tuple[dict[str, Any], str]:
    """The organization as the caller sees it, and the columns of the context."""
    check_options(call)
    directory = tenant.directory
    whole: dict[str, Any] = {
        "id": directory.tenant_id,
        "displayName": directory.name,
        "countryLetterCode": directory.country,
        "country": _COUNTRIES.get(directory.country, directory.country),
        "createdDateTime": "2021-01-04T08:00:00Z",
        "tenantType": "AAD",
        "mobileDeviceManagementAuthority": "unknown",
        "verifiedDomains": [
            {
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": True,
                "isInitial": True,
                "name": directory.domain,
                "type": "Managed",
            }
        ],
        **dict.fromkeys(_ORGANIZATION_NULLS),
        **{name: [] for name in _ORGANIZATION_EMPTY},
    }
    chosen = selected(call, whole, "organization")
    columns = f"({','.join(chosen)})" if chosen else ""
    shown = whole if chosen is None else {name: whole[name] for name in chosen}
    if not call.permissions & ORGANIZATION_WHOLE:
        match tenant.settings.organization_read:
            case "rejected":
                raise denied()
            case "sparse":
                shown = {name: whole[name] for name in _SPARSE}
    return shown, columns


def subscribed_skus(tenant: Tenant, call: Call) -> Reply:
    """GET /subscribedSkus; $filter is not supported, the list is never paged."""
    if "$filter" in call.query:
        raise bad_request("The query parameter '$filter' is not supported on subscribedSkus.")  # own wording
    chosen = selected(call, _SKU_PROPERTIES, "subscribedSku")
    view = view_of(tenant)
    shown = [sku_json(tenant, one, call.as_of, view) for one in tenant.directory.subscriptions.values()]
    if chosen is not None:
        shown = [{name: whole[name] for name in chosen} for whole in shown]
    columns = f"({','.join(chosen)})" if chosen else ""
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#subscribedSkus{columns}", "value": shown})


def one_sku(tenant: Tenant, call: Call) -> Reply:
    """GET /subscribedSkus/{tenantId}_{skuId}"""
    chosen = selected(call, _SKU_PROPERTIES, "subscribedSku")
    owner, _, sku_id = call.segments[1].lower().partition("_")
    found = tenant.directory.subscriptions.get(sku_id)
    if owner != tenant.directory.tenant_id or found is None:
        raise not_found(call.segments[1])
    whole = sku_json(tenant, found, call.as_of, view_of(tenant))
    columns = f"({','.join(chosen)})" if chosen else ""
    shown = {name: whole[name] for name in chosen or whole}
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#subscribedSkus{columns}/$entity", **shown})


def sku_json(tenant: Tenant, subscription: Subscription, as_of: float | None, view: DirectoryView) -> dict[str, Any]:
    """One subscribedSku with all properties."""
    directory = tenant.directory
    product = directory.catalog.products[subscription.sku_id]
    return {
        "id": f"{directory.tenant_id}_{subscription.sku_id}",
        "accountId": directory.tenant_id,
        "accountName": directory.name.lower(),
        "appliesTo": subscription.applies_to,
        "capabilityStatus": subscription.capability_status,
        "consumedUnits": directory.consumed_units(subscription, as_of),
        "prepaidUnits": {
            "enabled": subscription.enabled,
            "suspended": subscription.suspended,
            "warning": subscription.warning,
            **({"lockedOut": subscription.locked_out} if tenant.settings.locked_out_units == "there" else {}),
        },
        "servicePlans": [
            {
                "servicePlanId": view.id(plan.id),
                "servicePlanName": plan.name,
                "provisioningStatus": plan.provisioning_status,
                "appliesTo": plan.applies_to,
            }
            for plan in product.plans
        ],
        "skuId": view.id(subscription.sku_id),
        "skuPartNumber": product.part_number,
        "subscriptionIds": [],
    }
