"""A world of fakes, with the handles tests of doors need."""
from __future__ import annotations
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.domain.model import LedgerRow
from shared.domain.outcomes import merge
from shared.domain.operation import Operation
from shared.ports import *
from tests.fakes_directory import BEGINNING, FakeDirectory, FakeLicenseWriter

class Clock_:
    def __init__(self): self.t=BEGINNING
    def now(self): return self.t
    async def sleep(self, s): self.t+=timedelta(seconds=s)
    def move(self, by): self.t+=by
class Q:
    def __init__(self): self.messages=[]; self.away=0
    async def send(self, messages):
        if self.away>0:
            self.away-=1; raise Unavailable(None,"queue away")
        self.messages+=messages
class S:
    def __init__(self): self.d={}; self.n=0; self.away=False; self.race=False
    def tag(self): self.n+=1; return str(self.n)
class A(S):
    async def get(self,g):
        return StoredAssignment(*self.d[g]) if g in self.d else None
    async def all(self): return tuple(a for a,_ in self.d.values())
    async def save(self,a,etag):
        cur=self.d.get(a.group_id,(None,None))[1]
        if cur!=etag or self.race: raise Conflict("changed")
        t=self.tag(); self.d[a.group_id]=(a,t); return t
class O(S):
    async def insert(self,o):
        if o.id in self.d: raise Conflict("exists")
        self.d[o.id]=replace(o,version=self.tag()); return self.d[o.id]
    async def get(self,i): return self.d.get(i)
    async def save(self,o):
        if self.d[o.id].version!=o.version: raise Conflict("changed")
        self.d[o.id]=replace(o,version=self.tag()); return self.d[o.id]
    async def newest(self,top,after=None):
        ids=[i for i in sorted(self.d,reverse=True) if after is None or i<after]
        return tuple(self.d[i] for i in ids[:top]), (ids[top-1] if len(ids)>top else None)
    async def open(self): return tuple(o for o in self.d.values() if not o.state.is_ended)
class Sealed(S):
    async def write(self,o,s,pages):
        for p in pages: self.d[o,s,p.number]=p
    async def page(self,o,s,n): return self.d[o,s,n]
class C(S):
    async def report(self,o,c,outs): self.d[o,c]=tuple(outs); return tuple(outs)
    async def rows(self,o,a,b): return {c:v for (op,c),v in self.d.items() if op==o and a<=c<=b}
class M(S):
    async def record(self,rows):
        for r in rows: self.d[r.group_id,r.user_id]=r
    async def page(self,g,top,after=None): return tuple(r for (gg,_),r in self.d.items() if gg==g), None
    async def errors(self,g,top,after=None): return tuple(r for (gg,_),r in self.d.items() if gg==g and r.state.needs_a_person), None
class L(S):
    async def rows(self,ids): return {i:self.d.get(i,LedgerRow(i)) for i in ids}
    async def write(self,rows):
        for r in rows: self.d[r.user_id]=r
        return {r.user_id:LedgerWrite(r) for r in rows}
class P(S):
    async def allowance(self,s): return self.d.get(s,("",None))
    async def save_allowance(self,s,st,e): self.d[s]=(st,"1")
class G(S):
    async def get(self,g): return self.d.get(g)
    async def save(self,s): self.d[s.group_id]=s
class Au(S):
    async def append(self,e): list(e)
class I(S):
    async def claim(self,k,o,f): return self.d.setdefault(k,(o,f))
class D(S):
    async def keep(self,l):
        if self.away: raise Unavailable(None,"away")
        self.d[l.id]=l
    async def newest(self,top): return tuple(self.d.values())[:top]

@dataclass
class Fakes:
    world: Any; clock: Any; queue: Any; directory: FakeDirectory
    def sent(self): return list(self.queue.messages)
    def queue_away(self,times): self.queue.away=times
    def stores_away(self): self.world.stores.dead_letters.away=True
    def assignments_always_change(self): self.world.stores.assignments.race=True

def fake_world():
    c=Clock_(); q=Q(); d=FakeDirectory(now=c.now); n=[0]
    def token():
        n[0]+=1; return f"{n[0]*2654435761%2**32:08x}{n[0]:024x}"
    x=S()
    return Fakes(World(c,q,d,FakeLicenseWriter(d),Stores(A(),O(),Sealed(),C(),M(),L(),x,P(),G(),Au(),x,I(),D()),Policy(tenant_id="t"),token),c,q,d)
