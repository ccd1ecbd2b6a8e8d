// Loaded before Azurite (node --require). Azurite looks through a whole partition for each row it reads or writes, and
// through a whole table for each query, so that the cost of a row grows with the size of the table. The service has one
// index, on PartitionKey and RowKey (learn.microsoft.com/azure/storage/tables/table-storage-design); this gives Azurite
// the same. What is stored and what is answered stays Azurite's.
"use strict";

const Loki = require("lokijs");
const Store = require("azurite/dist/src/table/persistence/LokiTableMetadataStore").default;
const Generator = require("azurite/dist/src/table/persistence/LokiTableStoreQueryGenerator").default;

const ofCollections = Object.getPrototypeOf(new Loki("").addCollection("any"));
const TEXT = "'((?:[^']|'')*)'";
const RANGE = new RegExp(`^PartitionKey eq ${TEXT}(?: and RowKey ge ${TEXT})?(?: and RowKey le ${TEXT})?(?= and |$)`);
const indexes = new WeakMap();

/** The rows of a table: partition -> { rows: by RowKey, keys: RowKeys in order }. */
class Index {
  constructor(collection) {
    this.partitions = new Map();
    for (const row of collection.data) this.add(row);
    collection.on("insert", (row) => this.add(row));
    collection.on("update", (row) => this.add(row));
    collection.on("delete", (row) => this.remove(row));
  }

  add(row) {
    let partition = this.partitions.get(row.PartitionKey);
    if (!partition) this.partitions.set(row.PartitionKey, (partition = { rows: new Map(), keys: [] }));
    if (!partition.rows.has(row.RowKey)) partition.keys.splice(position(partition.keys, row.RowKey), 0, row.RowKey);
    partition.rows.set(row.RowKey, row);
  }

  remove(row) {
    const partition = this.partitions.get(row.PartitionKey);
    if (!partition?.rows.delete(row.RowKey)) return;
    partition.keys.splice(position(partition.keys, row.RowKey), 1);
    if (!partition.keys.length) this.partitions.delete(row.PartitionKey);
  }

  get(partitionKey, rowKey) {
    return this.partitions.get(partitionKey)?.rows.get(rowKey) ?? null;
  }

  /** At most `most` rows of a partition with keys between two, which `wanted` takes. */
  between(partitionKey, first, last, wanted, most) {
    const partition = this.partitions.get(partitionKey);
    const found = [];
    if (!partition) return found;
    for (let at = position(partition.keys, first); at < partition.keys.length && found.length < most; at++) {
      if (last !== undefined && partition.keys[at] > last) break;
      const row = partition.rows.get(partition.keys[at]);
      if (wanted(row)) found.push(row);
    }
    return found;
  }
}

/** Where a key stands in sorted keys, or would stand. */
function position(keys, key) {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function indexOf(collection) {
  if (!indexes.has(collection)) indexes.set(collection, new Index(collection));
  return indexes.get(collection);
}

function plain(text) {
  return text?.replaceAll("''", "'");
}

const addCollection = Loki.prototype.addCollection;
Loki.prototype.addCollection = function (name, options) {
  const ofRows = options?.indices?.includes("RowKey");
  return addCollection.call(this, name, ofRows ? { ...options, indices: [] } : options);
};

const findOne = ofCollections.findOne;
ofCollections.findOne = function (query) {
  const byKey = Object.keys(query ?? {}).join() === "PartitionKey,RowKey";
  return byKey ? indexOf(this).get(query.PartitionKey, query.RowKey) : findOne.call(this, query);
};

const queryTableEntities = Store.prototype.queryTableEntities;
Store.prototype.queryTableEntities = async function (context, account, table, options, nextPartition, nextRow) {
  const range = RANGE.exec(options.filter ?? "");
  const rest = (options.filter ?? "").replace(/'(?:[^']|'')*'/g, "");
  if (!range || /\b(or|not)\b|\(/.test(rest)) {
    return queryTableEntities.call(this, context, account, table, options, nextPartition, nextRow);
  }
  const wanted = Generator.generateQueryForPersistenceLayer(options, context);
  const most = this.getMaxResultsOption(options);
  const [partition, first, last] = range.slice(1).map(plain);
  const goingOn = this.decodeContinuationHeader(nextRow) ?? "";
  const from = goingOn > (first ?? "") ? goingOn : (first ?? "");
  const index = indexOf(this.getEntityCollection(account, table, context));
  const found = index.between(partition, from, last, wanted, most + 1);
  const next = this.adjustQueryResultforTop(found, most);
  return [found, next.nextPartitionKeyResponse, next.nextRowKeyResponse];
};
