"""Sends notifications: collects changes for a moment, notifies each subscription, tries again, gives up.

Rules of delivery: learn.microsoft.com/graph/change-notifications-delivery-webhooks. Any 2xx is a delivery. After other
answers, it tries again for 4 hours with growing pauses. Notifications for a slow or dropping endpoint are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from local.tenant import clock
from local.tenant.directory.changes import Change
from local.tenant.notifications.delivery_faults import DeliveryFaults
from local.tenant.notifications.endpoint_health import WINDOW_SECONDS, EndpointHealth, EndpointState
from local.tenant.notifications.payloads import change_notifications, lifecycle_notification
from local.tenant.notifications.subscriptions import GraphSubscription, GraphSubscriptions
from local.tenant.settings import Settings

GIVE_UP_SECONDS = 4 * 3_600.0
SLOW_DELAY_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 900.0  # between two tries; our own number
_AT_ONCE = 16  # POSTs under way; our own number
_PENDING_LIMIT = 500_000  # changes not yet sent
_QUEUE_LIMIT = 50_000  # POSTs waiting; notifications beyond are lost and counted as overflow


@dataclass(slots=True)
class Counters:
    """Notifications by what became of them; `posts` and `answers` count requests, `changes` single changes."""

    changes: int = 0
    notifications: int = 0
    posts: int = 0
    sent: int = 0
    delivered: int = 0
    retried: int = 0
    rejected: int = 0
    slow: int = 0
    postponed: int = 0
    dropped: int = 0
    abandoned: int = 0
    ended: int = 0
    held: int = 0
    lost: int = 0
    doubled: int = 0
    forged: int = 0
    reordered: int = 0
    lifecycle: int = 0
    overflow: int = 0


@dataclass(slots=True)
class _Post:
    """One POST to be made; `subscription_id` is empty where no subscription need be alive for it."""

    due: float
    number: int
    url: str
    subscription_id: str
    bodies: list[dict[str, Any]]
    made: float
    tries: int = 0

    def __lt__(self, other: _Post) -> bool:
        return (self.due, self.number) < (other.due, other.number)


class Sender:
    """One per tenant; `offer` takes changes in, `run` sends until cancelled."""

    def __init__(self, subscriptions: GraphSubscriptions, settings: Settings, tenant_id: str) -> None:
        self.faults = DeliveryFaults()
        self.counters = Counters()
        self._subscriptions = subscriptions
        self._settings = settings
        self._tenant_id = tenant_id
        self._pending: list[Change] = []
        self._pending_since = 0.0
        self._queue: list[_Post] = []
        self._held: dict[str, list[_Post]] = {}
        self._health: dict[str, EndpointHealth] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._number = 0
        self._wake = asyncio.Event()

    def offer(self, change: Change) -> None:
        """A group changed; current subscriptions are notified a moment later."""
        if not (change.observed or self._settings.notify_user_deletion) or not self._subscriptions.alive(clock.time()):
            return
        self.counters.changes += 1
        if len(self._pending) >= _PENDING_LIMIT:
            self.counters.overflow += 1
            return
        if not self._pending:
            self._pending_since = time.monotonic()
            self._wake.set()
        self._pending.append(change)

    def lifecycle(self, subscription: GraphSubscription, event: str) -> bool:
        """Tell of a lifecycle event; False where the subscription has no address for it.

        `reauthorizationRequired` holds change notifications back, `subscriptionRemoved` ends the subscription.
        """
        if event == "reauthorizationRequired":
            subscription.authorized = False
        elif event == "subscriptionRemoved":
            self._subscriptions.remove(subscription)
        if subscription.lifecycle_url is None:
            return False
        self.counters.lifecycle += 1
        body = lifecycle_notification(subscription, event, self._tenant_id)
        self._push(self._post(subscription.lifecycle_url, "", [body], 0.0))
        return True

    def authorize(self, subscription: GraphSubscription) -> None:
        """Go on with a subscription; what was held back meanwhile is sent, if it is not 4 hours old."""
        subscription.authorized = True
        for post in self._held.pop(subscription.id, []):
            post.due = time.monotonic()
            self._push(post)

    def idle(self) -> bool:
        """Whether nothing waits or is under way; what is held for an authorization does not count."""
        return not (self._pending or self._queue or self._under_way)

    def as_json(self) -> dict[str, Any]:
        """Counters, waiting notifications, and the state of each endpoint."""
        now = time.monotonic()
        return {
            **asdict(self.counters),
            "waiting": len(self._pending) + len(self._queue) + len(self._under_way),
            "heldNow": sum(len(post.bodies) for posts in self._held.values() for post in posts),
            "idle": self.idle(),
            "endpoints": {url: self._state(url, now).value for url in self._health},
        }

    def reset(self) -> None:
        """Set counters to zero and endpoints to a good state; waiting notifications are still sent."""
        self.counters = Counters()
        self._health.clear()

    async def run(self) -> None:
        """Send until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=_AT_ONCE)) as http:
            try:
                while True:
                    await self._pause()
                    self._gather(time.monotonic())
                    self._begin(http, time.monotonic())
            finally:
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _pause(self) -> None:
        """Wait for news, or for the next moment at which something is due."""
        moments = [self._pending_since + self._settings.notification_delay_seconds] if self._pending else []
        if self._queue and len(self._under_way) < _AT_ONCE:
            moments.append(self._queue[0].due)
        wait = max(0.0, min(moments) - time.monotonic()) if moments else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), wait)
        self._wake.clear()

    def _gather(self, now: float) -> None:
        if not self._pending or now < self._pending_since + self._settings.notification_delay_seconds:
            return
        changes, self._pending = self._pending, []
        for subscription in self._subscriptions.alive(clock.time()):
            bodies = change_notifications(subscription, changes, self._tenant_id, self._settings)
            self.counters.notifications += len(bodies)
            for post in self._disturbed(subscription, bodies):
                self._admit(post, now)

    def _disturbed(self, subscription: GraphSubscription, bodies: list[dict[str, Any]]) -> list[_Post]:
        """The POSTs for these notifications: several in one where nothing holds them up, late ones each for itself."""
        prompt: list[dict[str, Any]] = []
        posts: list[_Post] = []
        for body in bodies:
            copies = self.faults.copies(body)
            self.counters.lost += not any(not copy.is_forged for copy in copies)
            for copy in copies:
                self.counters.doubled += copy.is_double
                self.counters.forged += copy.is_forged
                self.counters.reordered += copy.late
                if copy.delay > 0:
                    posts.append(self._post(subscription.notification_url, subscription.id, [copy.body], copy.delay))
                else:
                    prompt.append(copy.body)
        size = self._settings.notification_batch
        for start in range(0, len(prompt), size):
            some = prompt[start : start + size]
            posts.append(self._post(subscription.notification_url, subscription.id, some, 0.0))
        return posts

    def _post(self, url: str, subscription_id: str, bodies: list[dict[str, Any]], delay: float) -> _Post:
        now = time.monotonic()
        self._number += 1
        return _Post(now + delay, self._number, url, subscription_id, bodies, now)

    def _admit(self, post: _Post, now: float) -> None:
        """Take a new POST in, if the state of its endpoint allows."""
        match self._state(post.url, now):
            case EndpointState.DROP:
                self.counters.dropped += len(post.bodies)
                return
            case EndpointState.SLOW:
                self.counters.postponed += len(post.bodies)
                post.due += SLOW_DELAY_SECONDS * self._settings.notification_time_scale
            case EndpointState.GOOD:
                pass
        self._push(post)

    def _push(self, post: _Post) -> None:
        if len(self._queue) >= _QUEUE_LIMIT:
            self.counters.overflow += len(post.bodies)
            return
        heapq.heappush(self._queue, post)
        self._wake.set()

    def _state(self, url: str, now: float) -> EndpointState:
        health = self._health.setdefault(url, EndpointHealth())
        window = WINDOW_SECONDS * self._settings.notification_time_scale
        return health.state(now, window, self._settings.notification_least_answers)

    def _begin(self, http: aiohttp.ClientSession, now: float) -> None:
        while self._queue and self._queue[0].due <= now and len(self._under_way) < _AT_ONCE:
            post = heapq.heappop(self._queue)
            if self._may_go(post, now):
                task = asyncio.create_task(self._send(http, post))
                self._under_way.add(task)
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._wake.set()

    def _may_go(self, post: _Post, now: float) -> bool:
        """Whether the subscription is still there; without authorization the POST is put aside."""
        if now > post.made + GIVE_UP_SECONDS * self._settings.notification_time_scale:
            self.counters.abandoned += len(post.bodies)
            return False
        if not post.subscription_id:
            return True
        subscription = self._subscriptions.find(post.subscription_id, clock.time())
        if subscription is None:
            self.counters.ended += len(post.bodies)
            return False
        if not subscription.authorized:
            self.counters.held += len(post.bodies)
            self._held.setdefault(subscription.id, []).append(post)
            return False
        return True

    async def _send(self, http: aiohttp.ClientSession, post: _Post) -> None:
        self.counters.posts += 1
        self.counters.sent += len(post.bodies)
        post.tries += 1
        health = self._health.setdefault(post.url, EndpointHealth())
        try:
            limit = aiohttp.ClientTimeout(total=self._settings.notification_timeout_seconds)
            async with http.post(post.url, json={"value": post.bodies}, timeout=limit, allow_redirects=False) as answer:
                await answer.read()
            health.record(time.monotonic(), slow=False)
            if 200 <= answer.status < 300:
                self.counters.delivered += len(post.bodies)
                return
        except TimeoutError:
            health.record(time.monotonic(), slow=True)
            self.counters.slow += 1
        except (aiohttp.ClientError, OSError):
            pass  # undeliverable: no answer that could be slow
        self.counters.rejected += 1
        self._again(post)

    def _again(self, post: _Post) -> None:
        """Queue a POST once more after an exponential pause."""
        settings = self._settings
        pause = min(settings.notification_retry_seconds * 2 ** (post.tries - 1), LONGEST_PAUSE_SECONDS)
        post.due = time.monotonic() + pause * settings.notification_time_scale
        if post.due > post.made + GIVE_UP_SECONDS * settings.notification_time_scale:
            self.counters.abandoned += len(post.bodies)
            return
        self.counters.retried += len(post.bodies)
        self._push(post)
