package mongostore

import (
	"context"
	"encoding/hex"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Secret gives the secret of a name that all processes of a deployment share:
// 32 random bytes, made by the first one that asks and kept in the collection
// meta. Whoever can read the database can read it.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	a, err := s.token()
	if err != nil {
		return nil, err
	}
	b, err := s.token()
	if err != nil {
		return nil, err
	}
	id := "secret:" + name
	meta := s.db.Collection(metaName)
	if _, err := meta.InsertOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "value", Value: a + b}}); err != nil && !mongo.IsDuplicateKeyError(err) {
		return nil, fmt.Errorf("mongostore: secret %s: %w", name, err)
	}
	var d struct {
		Value string `bson:"value"`
	}
	if err := meta.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&d); err != nil {
		return nil, fmt.Errorf("mongostore: secret %s: %w", name, err)
	}
	secret, err := hex.DecodeString(d.Value)
	if err != nil || len(secret) != 32 {
		return nil, fmt.Errorf("mongostore: secret %s is not 32 bytes in hexadecimal", name)
	}
	return secret, nil
}
