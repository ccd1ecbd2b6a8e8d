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
const PARTITIONS = `(?:PartitionKey eq ${TEXT}|PartitionKey ge ${TEXT} and PartitionKey le ${TEXT})`;
const RANGE = new RegExp(`^${PARTITIONS}(?: and RowKey ge ${TEXT})?(?: and RowKey le ${TEXT})?(?= and |$)`);
const indexes = new WeakMap();

/** The rows of a table: partition -> { rows: by RowKey, keys: RowKeys in order }, and the partitions in order. */
class Index {
  constructor(collection) {
    this.partitions = new Map();
    this.order = [];
    for (const row of collection.data) this.add(row);
    collection.on("insert", (row) => this.add(row));
    collection.on("update", (row) => this.add(row));
    collection.on("delete", (row) => this.remove(row));
  }

  add(row) {
    let partition = this.partitions.get(row.PartitionKey);
    if (!partition) {
      this.partitions.set(row.PartitionKey, (partition = { rows: new Map(), keys: [] }));
      this.order.splice(position(this.order, row.PartitionKey), 0, row.PartitionKey);
    }
    if (!partition.rows.has(row.RowKey)) partition.keys.splice(position(partition.keys, row.RowKey), 0, row.RowKey);
    partition.rows.set(row.RowKey, row);
  }

  remove(row) {
    const partition = this.partitions.get(row.PartitionKey);
    if (!partition?.rows.delete(row.RowKey)) return;
    partition.keys.splice(position(partition.keys, row.RowKey), 1);
    if (partition.keys.length) return;
    this.partitions.delete(row.PartitionKey);
    this.order.splice(position(this.order, row.PartitionKey), 1);
  }

  get(partitionKey, rowKey) {
    return this.partitions.get(partitionKey)?.rows.get(rowKey) ?? null;
  }

  /** At most `most` rows of some partitions with keys between two, which `wanted` takes, from a row on. */
  between(partitions, keys, from, wanted, most) {
    const [firstPartition, lastPartition] = partitions;
    const found = [];
    const start = from.partition > firstPartition ? from.partition : firstPartition;
    for (let at = position(this.order, start); at < this.order.length && found.length < most; at++) {
      const name = this.order[at];
      if (name > lastPartition) break;
      const first = name === from.partition && from.row > keys[0] ? from.row : keys[0];
      this.ofPartition(this.partitions.get(name), first, keys[1], wanted, most, found);
    }
    return found;
  }

  ofPartition(partition, first, last, wanted, most, found) {
    for (let at = position(partition.keys, first); at < partition.keys.length && found.length < most; at++) {
      if (last !== undefined && partition.keys[at] > last) return;
      const row = partition.rows.get(partition.keys[at]);
      if (wanted(row)) found.push(row);
    }
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
  const [partition, firstPartition, lastPartition, first, last] = range.slice(1).map(plain);
  const partitions = [partition ?? firstPartition, partition ?? lastPartition];
  const from = {
    partition: this.decodeContinuationHeader(nextPartition) ?? "",
    row: this.decodeContinuationHeader(nextRow) ?? "",
  };
  const index = indexOf(this.getEntityCollection(account, table, context));
  const found = index.between(partitions, [first ?? "", last], from, wanted, most + 1);
  const next = this.adjustQueryResultforTop(found, most);
  return [found, next.nextPartitionKeyResponse, next.nextRowKeyResponse];
};
